import type { Armed } from '../process/armed.ts';
import { type BatchLine, batch } from './batch.ts';
import type { Identity } from './identity.ts';
import { localEntry } from './repoint.ts';

/**
 * Port states of linux/if_bridge.h. In `listening` the bridge neither takes frames from the port nor gives it any
 * (br_handle_frame, should_deliver), the same as in `disabled`; but `disabled` does not last: the next change of any
 * attribute of the link makes the kernel enable the port again (br_port_carrier_check), measured within milliseconds.
 * `blocking` turns into `forwarding` whenever another port of the bridge changes (br_port_state_selection). A port in
 * `listening` is left alone as long as the bridge runs without the spanning tree protocol and the link stays up.
 */
const listening = 1;
const forwarding = 3;

/** The command that holds a port, for a batch of ip(8). */
export function holdLine(hostInterface: string): BatchLine {
  return { words: `link set ${hostInterface} type bridge_slave state ${listening}` };
}

/**
 * Holds a container's port: from the return on no frame passes in either direction.
 * @param armed armBatch('ip'), where the time counts
 * @throws RankshiftError E_COMMAND where the container has no port here.
 */
export async function hold(identity: Pick<Identity, 'hostInterface'>, armed?: Armed): Promise<void> {
  await batch('ip', [holdLine(identity.hostInterface)], { armed });
}

/**
 * Releases a container's port. The node's own entry for the container's address is set first: until its release a
 * container is elsewhere, also for the job's other containers on this node. There is no delay: the bridge runs without
 * the spanning tree protocol. Idempotent.
 * @param armed armBatch('bridge'), where the time counts
 * @throws RankshiftError E_COMMAND where the container has no port here.
 */
export async function release(
  identity: Pick<Identity, 'hostInterface' | 'mac' | 'vxlan'>,
  armed?: Armed,
): Promise<void> {
  const { hostInterface, mac, vxlan } = identity;
  const lines = [
    ...localEntry({ mac, hostInterface, vxlan }),
    { words: `link set dev ${hostInterface} state ${forwarding}` },
  ];
  await batch('bridge', lines, { armed });
}
