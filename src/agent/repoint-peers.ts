import type { Channel } from '../channel/channel.ts';
import { repoint } from '../network/repoint.ts';
import type { LocalHandle } from './local-handle.ts';
import { doneSchema } from './messages.ts';

/** A peer that does not answer within this has lost its agent or its link. */
const answerMs = 3000;

/**
 * Every peer, and this (the source) node, sends frames for the container to its source or target node from now on. The target's own
 * tables were right from its preparation on.
 * @throws RankshiftError E_LINK where a peer did not answer.
 */
export async function repointPeers(
  handle: LocalHandle,
  peers: readonly Channel[],
  owner: 'source' | 'target',
): Promise<void> {
  const { vni, mac, hostInterface } = handle.identity;
  const here = owner === 'source' ? repoint({ vni, mac, nodeAddress: 'local', hostInterface }) : Promise.resolve();
  await Promise.all([
    here,
    ...peers.map(async (peer) => {
      await peer.send({ op: 'to', owner });
      await peer.next(doneSchema, { timeoutMs: answerMs });
    }),
  ]);
}
