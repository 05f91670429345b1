import { mkdir } from 'node:fs/promises';
import { makeGate } from '../checkpoint/gate.ts';
import { containerDir, migrationDir } from '../config.ts';
import { prepareContainerDir } from '../container/rootfs.ts';
import { RankshiftError } from '../errors.ts';
import type { AgentAddress, CommandPayload, ContainerFacts } from '../migration/commands.ts';
import { patiently } from '../patience.ts';
import { allOf } from '../process/all-of.ts';
import { breakpoint } from '../process/breakpoint.ts';
import { buildBundle, buildNetwork, makeCgroup } from './build-container.ts';
import type { AgentContext } from './context.ts';
import { exclusively } from './exclusively.ts';
import { readLocalContainer, writeRole } from './files.ts';
import { nodeProgramOf, storeDirOf } from './local-handle.ts';
import { factsAnswerSchema } from './messages.ts';
import { mountMigration } from './migration-dir.ts';
import { takeRecords } from './our-records.ts';
import { refreshPlaces } from './refresh-places.ts';
import { removalEnded } from './remove-container.ts';
import { settleOthers } from './resolve.ts';
import { connectFor } from './switch-connections.ts';
import { targetError } from './target-error.ts';

/** A container may grow between its plan and its freeze; the size is a limit, not an allocation. */
const imageFactor = 2;
/** Room for CRIU's own files beside the pages. */
const metadataBytes = 268_435_456;

/**
 * Makes a node ready to take a container: role written, memory file system for the images, root file system, bundle,
 * network namespace with the container's IP and MAC plugged but held, gate made. Nothing here can be seen
 * by the job; resolve.ts takes it all back.
 */
export async function prepare(context: AgentContext, order: CommandPayload<'prepare'>): Promise<void> {
  await settleOthers(context, order.container, order.migration);
  await removalEnded(context, order.container);
  // What is cleared while it is being built would leave its later half behind.
  await exclusively(context, order.migration, () => build(context, order)).catch((error: unknown) => {
    throw targetError(context.node, error);
  });
}

async function build(context: AgentContext, order: CommandPayload<'prepare'>): Promise<void> {
  const { config, node } = context;
  const { migration, container, epoch, source, places, memoryBytes, lazy, postCopy } = order;
  if ((await readLocalContainer(config, container)) !== null) {
    throw new RankshiftError('E_BUSY', `${node} has a container ${container} already`);
  }
  await takeRecords(context);
  const facts = await askFacts(context, source, container);
  await writeRole(config, {
    role: 'target',
    migration,
    container: facts.id,
    epoch,
    source: source.node,
    target: node,
    facts,
    lazy,
    postCopy,
    clock: null,
  });
  await breakpoint(config, 'target-preparing');
  await allOf([
    async () => {
      await mountMigration(config, migration, memoryBytes * imageFactor + metadataBytes);
      if (lazy) await mkdir(storeDirOf(config, migration), { mode: 0o700 });
      await makeGate(migrationDir(config, migration), nodeProgramOf(config));
    },
    async () => {
      await buildNetwork(context, facts, places, true);
      // Where the others are by now: one that moved meanwhile may have told this node before it had tables.
      await refreshPlaces(context, facts.job);
    },
    async () => {
      await prepareContainerDir(containerDir(config, facts.id));
      await buildBundle(context, facts);
      await makeCgroup(context, facts);
    },
  ]);
  await breakpoint(config, 'target-prepared');
}

/** The source's own word over the channel: what lies in Redis could be anybody's. */
async function askFacts(context: AgentContext, source: AgentAddress, container: string): Promise<ContainerFacts> {
  const channel = await connectFor(context, source, { op: 'facts', container });
  try {
    const { facts } = await channel.next(factsAnswerSchema, { timeoutMs: patiently(5000) });
    if (facts.id !== container)
      throw new RankshiftError('E_LINK', `${source.node} answered for ${facts.id} instead of ${container}`);
    return facts;
  } finally {
    channel.destroy();
  }
}
