export interface TaskRequest {
  /** Tasks of the whole job. */
  tasks: number;
  /** --ntasks-per-node; 0 where it was not given. */
  tasksPerNode: number;
  cpusPerTask: number;
}

/**
 * How many tasks each node gets: --ntasks-per-node where it was given; else every node gets one, then node after node is
 * filled up to its CPUs (srun's default, man srun, --distribution=block), and what is left over goes round.
 */
export function spreadTasks(
  nodes: readonly string[],
  cpusPerNode: Readonly<Record<string, number>>,
  { tasks, tasksPerNode, cpusPerTask }: TaskRequest,
): Record<string, number> {
  if (tasksPerNode > 0) return Object.fromEntries(nodes.map((node) => [node, tasksPerNode]));
  const counts = nodes.map(() => 1);
  let left = Math.max(0, tasks - nodes.length);
  for (const [index, node] of nodes.entries()) {
    const capacity = Math.max(1, Math.floor((cpusPerNode[node] ?? 1) / Math.max(1, cpusPerTask)));
    const more = Math.min(left, capacity - 1);
    counts[index] = 1 + more;
    left -= more;
  }
  const round = Math.floor(left / Math.max(1, nodes.length));
  const extra = left - round * nodes.length;
  return Object.fromEntries(nodes.map((node, index) => [node, (counts[index] ?? 1) + round + (index < extra ? 1 : 0)]));
}
