import type { Channel } from '../channel/channel.ts';
import { controllerName } from '../channel/credentials.ts';
import { type Envelope, verifyEnvelope } from '../channel/envelope.ts';
import { containerDir } from '../config.ts';
import { upperPath } from '../container/rootfs.ts';
import { RankshiftError } from '../errors.ts';
import { type SwitchOrder, switchOrderSchema } from '../migration/commands.ts';
import { parseContainerId } from '../migration/container.ts';
import { overlayIdentity } from '../network/identity.ts';
import { repointIfHere } from '../network/repoint.ts';
import { patiently } from '../patience.ts';
import type { AgentContext } from './context.ts';
import { readLocalContainer, readRole } from './files.ts';
import { answerLink } from './link.ts';
import { openingSchema, repointRequestSchema } from './messages.ts';
import { serveOutput } from './output.ts';
import { receivePages } from './receive-pages.ts';
import { receiveUpper } from './receive-upper.ts';
import { refreshPlaces } from './refresh-places.ts';
import { serveImage, serveLayer } from './serve-layer.ts';
import { serveShell } from './serve-shell.ts';
import { switchTarget } from './switch-target.ts';
import { checkPeer, newTargetSession, type TargetSession } from './target-sessions.ts';

const openingMs = patiently(10_000);
/** A switch order is open this long: peers wait for its word. */
const orderMs = 900_000;

/** Serves the channels that other agents and the controller open to this one; their first frame says what for. */
export class ChannelServer {
  readonly #context: AgentContext;
  readonly #sessions = new Map<string, TargetSession>();

  constructor(context: AgentContext) {
    this.#context = context;
  }

  async serve(channel: Channel): Promise<void> {
    try {
      const opening = await channel.next(openingSchema, { timeoutMs: openingMs });
      switch (opening.op) {
        case 'link':
          await channel.send({ op: 'ready' });
          return await answerLink(this.#context, channel);
        case 'facts':
          return await this.#facts(channel, opening.container);
        case 'refresh':
          await channel.send({ op: 'ready' });
          await refreshPlaces(this.#context, opening.job);
          return await channel.send({ op: 'done' });
        case 'output':
          if (channel.peer !== controllerName)
            throw new RankshiftError('E_NOT_PERMITTED', 'output is for the controller');
          await channel.send({ op: 'ready' });
          return await serveOutput(this.#context, channel, opening.container);
        case 'shell':
          if (channel.peer !== controllerName)
            throw new RankshiftError('E_NOT_PERMITTED', 'a shell is for the controller');
          return await serveShell(this.#context, channel, opening);
        case 'repoint':
          return await this.#repoint(channel, opening.envelope);
        case 'switch':
          return await this.#switch(channel, opening.envelope);
        case 'upper':
          return await this.#upper(channel, opening.migration);
        case 'layer':
          return await serveLayer(this.#context, channel, opening.digest, opening.envelope);
        case 'image':
          return await serveImage(this.#context, channel, opening.envelope);
        case 'pages':
          return await this.#pages(channel, opening.migration);
      }
    } catch (error) {
      const known = RankshiftError.from(error);
      if (known.code !== 'E_LINK') this.#context.log.warn({ peer: channel.peer, error: known.message }, 'channel');
      await channel.sendError(known).catch(() => undefined);
      await channel.close();
    }
  }

  /** The controller's order to the source, which the source passes on: only with it may it ask anything here. */
  #order(channel: Channel, envelope: Envelope): SwitchOrder {
    const body = verifyEnvelope(this.#context.commandKey, envelope, { node: channel.peer });
    const order = switchOrderSchema.safeParse(body.payload);
    if (body.command !== 'switch' || !order.success || order.data.source.node !== channel.peer) {
      throw new RankshiftError('E_NOT_PERMITTED', `${channel.peer} has no order for this`);
    }
    return order.data;
  }

  async #switch(channel: Channel, envelope: Envelope): Promise<void> {
    const { config, node, operations } = this.#context;
    const order = this.#order(channel, envelope);
    const role = await readRole(config, order.migration);
    if (order.target.node !== node || role?.role !== 'target' || operations.has(order.migration)) {
      throw new RankshiftError('E_NOT_PERMITTED', `${node} is not prepared for migration ${order.migration}`);
    }
    const session = newTargetSession(order.source, role, upperPath(containerDir(config, order.container)));
    this.#sessions.set(order.migration, session);
    const work = (async () => {
      await channel.send({ op: 'ready' });
      await switchTarget(this.#context, channel, order, session);
    })();
    operations.set(order.migration, work);
    try {
      await work;
    } finally {
      operations.delete(order.migration);
      this.#sessions.delete(order.migration);
    }
  }

  async #upper(channel: Channel, migration: string): Promise<void> {
    const session = checkPeer(this.#sessions.get(migration), channel);
    await channel.send({ op: 'ready' });
    const work = receiveUpper(this.#context, channel, session.facts, session.upperDir);
    session.takeUpper(work);
    await work;
  }

  async #pages(channel: Channel, migration: string): Promise<void> {
    const session = checkPeer(this.#sessions.get(migration), channel);
    await channel.send({ op: 'ready' });
    const work = receivePages(this.#context, channel, session.address, session.role);
    session.takePages(work);
    await work;
  }

  async #facts(channel: Channel, container: string): Promise<void> {
    const local = await readLocalContainer(this.#context.config, container);
    if (local === null) throw new RankshiftError('E_STALE', `${container} is not on ${this.#context.node}`);
    await channel.send({ op: 'ready' });
    await channel.send({ op: 'facts', facts: local.facts });
  }

  async #repoint(channel: Channel, envelope: Envelope): Promise<void> {
    const { config } = this.#context;
    const order = this.#order(channel, envelope);
    const parsed = parseContainerId(order.container);
    if (parsed === null) return;
    await channel.send({ op: 'ready' });
    const identity = overlayIdentity(parsed.job, parsed.index ?? 0, config);
    for (;;) {
      const { owner } = await channel.next(repointRequestSchema, { timeoutMs: orderMs });
      const nodeAddress = owner === 'source' ? order.source.address : order.target.address;
      await repointIfHere({ vni: identity.vni, mac: identity.mac, nodeAddress });
      await channel.send({ op: 'done' });
    }
  }
}
