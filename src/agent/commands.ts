import type { Envelope } from '../channel/envelope.ts';
import { findInit } from '../container/find-init.ts';
import { RankshiftError } from '../errors.ts';
import type { CommandName, CommandPayload } from '../migration/commands.ts';
import { confineContainer } from './confine-container.ts';
import type { AgentContext } from './context.ts';
import { distances } from './distances.ts';
import { exclusively } from './exclusively.ts';
import { fetchLayers } from './fetch-layers.ts';
import { readLocalContainer } from './files.ts';
import { finish } from './finish.ts';
import { inspect } from './inspect.ts';
import { launch } from './launch.ts';
import { prepare } from './prepare.ts';
import { probe } from './probe.ts';
import { removeContainer } from './remove-container.ts';
import { resolve } from './resolve.ts';
import { switchSource } from './switch-source.ts';

type Handlers = {
  [N in CommandName]: (context: AgentContext, payload: CommandPayload<N>, envelope: Envelope) => Promise<unknown>;
};

/** What an agent does for each command; the answer goes back to the controller. All but `switch` are idempotent. */
export const handlers: Handlers = {
  launch: (context, { facts, places }) => launch(context, facts, places),
  teardown: async (context, { container, run }) => {
    const local = await readLocalContainer(context.config, container);
    // The job has another run by now, and this is its container.
    if (run !== undefined && local !== null && local.facts.run !== run) return { alive: true };
    const alive = local === null || (await findInit(local.facts.job, local.facts.index)) !== null;
    await removeContainer(context, container);
    return { alive };
  },
  signal: async (context, { container, signal }) => {
    const local = await readLocalContainer(context.config, container);
    const pid = local === null ? null : await findInit(local.facts.job, local.facts.index);
    if (pid === null) throw new RankshiftError('E_STALE', `${container} does not run on ${context.node}`);
    process.kill(pid, signal);
  },
  confine: async (context, { container, slurmJob }) => {
    const local = await readLocalContainer(context.config, container);
    if (local === null) throw new RankshiftError('E_STALE', `${container} is not on ${context.node}`);
    return { cores: await confineContainer(context, local.facts, slurmJob) };
  },
  inspect: (context, { container, target }) => inspect(context, container, target),
  shells: async ({ shells }, { container }) => ({ shells: shells.of(container) }),
  probe: (context, { layers }) => probe(context, layers),
  distances: async (context, { to }) => ({ roundTripMs: await distances(context, to) }),
  fetch: (context, order, envelope) => fetchLayers(context, order, envelope),
  prepare: (context, order) => prepare(context, order),
  switch: (context, order, envelope) => {
    if (context.operations.has(order.migration)) {
      throw new RankshiftError('E_BUSY', `migration ${order.migration} is being switched already`);
    }
    return exclusively(context, order.migration, () => switchSource(context, order, envelope));
  },
  resolve: (context, { migration }) => resolve(context, migration),
  finish: (context, { migration, ended }) => finish(context, migration, { ended: ended ?? false }),
};
