import type { Channel } from '../channel/channel.ts';
import type { Envelope } from '../channel/envelope.ts';
import { openChannel } from '../channel/open-channel.ts';
import type { AgentAddress, SwitchOrder } from '../migration/commands.ts';
import { patiently } from '../patience.ts';
import type { AgentContext } from './context.ts';
import type { JobNode } from './job-nodes.ts';
import { type Opening, readySchema } from './messages.ts';

/** Every channel that a switch needs, opened before the freeze. */
export interface SwitchConnections {
  control: Channel;
  upper: Channel;
  pages: Channel;
  peers: Channel[];
  /** Opens channels to those that have come since the order was given. */
  addPeers(nodes: readonly JobNode[]): Promise<void>;
  close(): void;
}

/** Opens one channel and says what it is for; returns when the other side is ready. */
export async function connectFor(context: AgentContext, to: AgentAddress, opening: Opening): Promise<Channel> {
  const channel = await openChannel({ ...to, credentials: context.credentials, timeoutMs: patiently(5000) });
  try {
    await channel.send(opening);
    await channel.next(readySchema, { timeoutMs: patiently(10_000) });
    return channel;
  } catch (error) {
    channel.destroy();
    throw error;
  }
}

/** @throws RankshiftError E_LINK where one of the nodes cannot be reached; then none stays open. */
export async function connectSwitch(
  context: AgentContext,
  order: SwitchOrder,
  envelope: Envelope,
): Promise<SwitchConnections> {
  const { migration, target } = order;
  // The control channel first: it makes the target expect the others.
  const control = await connectFor(context, target, { op: 'switch', envelope });
  const rest = await Promise.allSettled([
    connectFor(context, target, { op: 'upper', migration }),
    connectFor(context, target, { op: 'pages', migration }),
    ...order.peers.map((peer) => connectFor(context, peer, { op: 'repoint', envelope })),
  ]);
  const opened = [control, ...rest.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))];
  const close = () => {
    for (const channel of opened) channel.destroy();
  };
  const failed = rest.find((one) => one.status === 'rejected');
  const [, upper, pages, ...peers] = opened;
  const known = new Set([...order.peers, order.source, order.target].map(({ node }) => node));
  if (failed !== undefined || upper === undefined || pages === undefined) {
    close();
    throw failed?.reason;
  }
  const addPeers = async (nodes: readonly JobNode[]) => {
    for (const { owner, ...to } of nodes.filter(({ node }) => !known.has(node))) {
      try {
        const channel = await connectFor(context, to, { op: 'repoint', envelope });
        opened.push(channel);
        peers.push(channel);
        known.add(to.node);
      } catch (error) {
        // A node that is only made ready has nobody who could miss a frame, and asks the records before it has.
        if (owner) throw error;
        context.log.warn({ migration, node: to.node, error: (error as Error).message }, 'not told of the move');
      }
    }
  };
  return { control, upper, pages, peers, addPeers, close };
}
