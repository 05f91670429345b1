import type { AgentAddress } from '../migration/commands.ts';
import { listJobContainers } from '../store/containers.ts';
import { readHeartbeat } from '../store/nodes.ts';
import type { AgentContext } from './context.ts';

export interface JobNode extends AgentAddress {
  /** It has a container of the job; else it is only being made ready for one. */
  owner: boolean;
}

/**
 * Nodes whose tables know a job's containers: where they are, and where one is about to come. A node that is made ready
 * is in the records before it reads where the others are, so either it reads what was committed, or who commits finds it
 * here. Nodes without a heartbeat are left out.
 */
export async function jobNodes(
  { redis }: Pick<AgentContext, 'redis'>,
  { job, containers }: { job: number; containers: number },
): Promise<JobNode[]> {
  const records = await listJobContainers(redis, job, containers);
  const owners = new Set(records.map(({ owner }) => owner));
  const names = new Set([...owners, ...records.map(({ heading }) => heading).filter((name) => name !== '')]);
  const found = await Promise.all(
    [...names].map(async (node) => {
      const heartbeat = await readHeartbeat(redis, node);
      if (heartbeat === null) return [];
      return [{ node, address: heartbeat.address, port: heartbeat.port, owner: owners.has(node) }];
    }),
  );
  return found.flat();
}
