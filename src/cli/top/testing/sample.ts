import { type MigrationRecord, migrationRecordSchema } from '../../../migration/record.ts';
import type { TopNode } from '../overview.ts';

export const sampleAt = 1_800_000_000_000;

export function sampleNode(index: number, changes: Partial<TopNode> = {}): TopNode {
  return {
    name: `n${index}`,
    agentAlive: true,
    slurmStates: ['mixed'],
    containers: 2,
    memoryAvailableBytes: 3 * 2 ** 30,
    memoryTotalBytes: 4 * 2 ** 30,
    cpus: 2,
    load: 1.5,
    criuOk: true,
    ...changes,
  };
}

export function sampleRecord(id: number, changes: Partial<MigrationRecord> = {}): MigrationRecord {
  return migrationRecordSchema.parse({
    ...{ version: 1, revision: 1, id: String(id), container: `42.${id}`, job: 42 },
    ...{ requestedBy: { uid: 1000, name: 'alice' }, request: { container: `42.${id}` }, state: 'copying' },
    ...{ source: 'n1', target: 'n2', epoch: 1, cancelRequested: false, waitingFor: null, createdAt: sampleAt },
    ...{ endedAt: null, plan: null, phases: [], result: null, totalMs: null, error: null },
    ...changes,
  });
}
