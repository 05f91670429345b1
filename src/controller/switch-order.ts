import type { SwitchOrder } from '../migration/commands.ts';
import { gangOf } from '../migration/gang.ts';
import type { MigrationRecord, Plan } from '../migration/record.ts';
import { plainWire } from '../migration/wire.ts';
import type { ControllerContext } from './context.ts';
import { agentAddress } from './node-facts.ts';
import { type Place, peerAgents } from './places.ts';

/** What the source agent is told of a switch. @throws RankshiftError E_AGENT where a node of it does not answer. */
export async function switchOrder(
  context: ControllerContext,
  record: MigrationRecord,
  { source, memoryBytes, strategy, lazy, link, wire, dirtyBytesPerSecond }: Plan,
  target: string,
  epoch: number,
  ofJob: readonly Place[],
): Promise<SwitchOrder> {
  const [sourceAddress, targetAddress, peers] = await Promise.all([
    agentAddress(context, source),
    agentAddress(context, target),
    peerAgents(context, ofJob, [source, target]),
  ]);
  const quiesce = record.request.quiesce ?? context.config.quiesce;
  return {
    migration: record.id,
    container: record.container,
    epoch,
    source: sourceAddress,
    target: targetAddress,
    peers,
    clockPolicy: record.request.clockPolicy ?? context.config.clockPolicy,
    quiesce,
    memoryBytes: Math.ceil(memoryBytes),
    strategy,
    lazy,
    bandwidth: record.request.bandwidth ?? null,
    verify: record.request.verify ?? false,
    wire: wire === null ? plainWire : { compression: wire.compression, streams: wire.streams },
    // Ranks park at an MPI call, and one inside of a call comes out of it only while its peers run.
    gang: quiesce === 'mpi' ? null : (gangOf(record)?.group ?? null),
    dirtyBytesPerSecond,
    roundTripMs: link?.roundTripMs ?? 0,
  };
}
