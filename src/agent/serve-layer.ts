import type { Channel } from '../channel/channel.ts';
import { type Envelope, verifyEnvelope } from '../channel/envelope.ts';
import { paced } from '../channel/paced.ts';
import { listImages } from '../container/images/store.ts';
import { packLayer } from '../container/images/transfer.ts';
import { RankshiftError } from '../errors.ts';
import { type CommandPayload, commandSchemas } from '../migration/commands.ts';
import type { AgentContext } from './context.ts';

/** Sends a layer of this node's store to a node that the controller told to fetch it. */
export async function serveLayer(
  context: AgentContext,
  channel: Channel,
  digest: string,
  envelope: Envelope,
): Promise<void> {
  const order = fetchOrder(context, channel, envelope);
  if (!order.missing.some((layer) => layer.digest === digest)) {
    throw new RankshiftError('E_NOT_PERMITTED', `${channel.peer} has no order for layer ${digest}`);
  }
  await channel.send({ op: 'ready' });
  await channel.pipeIn(paced(packLayer(context.config.imageStore, digest), () => order.bandwidth));
  // The other side closes when it has the layer in its place.
  await channel.closed;
}

/** Says what this node knows of the image whose layers are fetched. */
export async function serveImage(context: AgentContext, channel: Channel, envelope: Envelope): Promise<void> {
  const order = fetchOrder(context, channel, envelope);
  const all = await listImages(context.config.imageStore);
  const same = all.filter((image) => image.layers.join() === order.layers.join());
  await channel.send({ op: 'ready' });
  await channel.send({ op: 'image', image: same.find(({ name }) => name === order.image) ?? same[0] ?? null });
}

/** The controller's order to the node at the other end, which passes it on: only with it may it ask for images. */
function fetchOrder(context: AgentContext, channel: Channel, envelope: Envelope): CommandPayload<'fetch'> {
  const body = verifyEnvelope(context.commandKey, envelope, { node: channel.peer });
  const order = commandSchemas.fetch.safeParse(body.payload);
  if (body.command !== 'fetch' || !order.success) {
    throw new RankshiftError('E_NOT_PERMITTED', `${channel.peer} has no order for this`);
  }
  return order.data;
}
