import type { Channel } from '../channel/channel.ts';
import { repoint } from '../network/repoint.ts';
import { patiently } from '../patience.ts';
import type { LocalHandle } from './local-handle.ts';
import { doneSchema } from './messages.ts';

/** A peer that does not answer within this has lost its agent or its link. */
const answerMs = patiently(3000);

/**
 * Every peer, and this (the source) node, sends frames for the container to its source or target node from now on. The
 * target needs no word: its release sets its own table. On the source the table is a second fence before the old copy.
 * `targetAddress` is null where frames come back here.
 * @throws RankshiftError E_LINK where a peer did not answer.
 */
export async function repointPeers(
  handle: LocalHandle,
  peers: readonly Channel[],
  targetAddress: string | null,
): Promise<void> {
  const { vni, mac, hostInterface } = handle.identity;
  const owner = targetAddress === null ? 'source' : 'target';
  await Promise.all([
    repoint({ vni, mac, nodeAddress: targetAddress ?? 'local', hostInterface }),
    ...peers.map(async (peer) => {
      await peer.send({ op: 'to', owner });
      await peer.next(doneSchema, { timeoutMs: answerMs });
    }),
  ]);
}
