import { type JobFacts, jobFacts } from '../slurm/facts.ts';
import { readAllocation } from '../store/allocations.ts';
import type { ControllerContext } from './context.ts';
import { settleSoon } from './watch-allocations.ts';

/**
 * The nodes of a job as its next run takes them: where containers of an earlier one moved, the nodes on which they were
 * at its end and that are still held for the job, each with the share that the job had at its start.
 */
export async function withPlaces(context: ControllerContext, before: JobFacts): Promise<JobFacts> {
  const { job } = before;
  if ((await readAllocation(context.redis, job)) === null) return before;
  await settleSoon(context, job);
  // Nodes may have left the job by that, just now or by another controller since it was asked.
  const facts = await jobFacts(context.config, job);
  const record = await readAllocation(context.redis, job);
  if (record === null || record.restarts !== facts.restarts) return facts;
  const byIndex = Object.entries(record.places).sort(([a], [b]) => indexOf(a) - indexOf(b));
  const held = new Set([...facts.nodes, ...record.shadows.map(({ node }) => node)]);
  const places = byIndex.map(([, node]) => node).filter((node) => held.has(node));
  const nodes = [...new Set([...places, ...facts.nodes])].slice(0, byIndex.length);
  const share = (node: string) => record.shares[byIndex.find(([, at]) => at === node)?.[0] ?? byIndex[0]?.[0] ?? ''];
  const each = (value: (node: string) => number) => Object.fromEntries(nodes.map((node) => [node, value(node)]));
  const { memoryPerNode, ...rest } = facts;
  return {
    ...rest,
    nodes,
    cpusPerNode: each((node) => share(node)?.cpus ?? 1),
    tasksPerNode: each((node) => share(node)?.tasks ?? 1),
    ...(memoryPerNode === undefined ? {} : { memoryPerNode: each((node) => share(node)?.memoryMiB ?? 0) }),
  };
}

function indexOf(container: string): number {
  return Number(container.split('.')[1]);
}
