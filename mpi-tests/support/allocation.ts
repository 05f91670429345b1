import type { Cluster } from './cluster.ts';
import { until } from './until.ts';

/** A job as squeue shows it. */
export interface Queued {
  id: number;
  name: string;
  user: string;
  state: string;
  nodes: string;
  /** Minutes, as `D-HH:MM:SS`. */
  limit: string;
  cpus: number;
}

export async function queued(cluster: Cluster): Promise<Queued[]> {
  const text = await cluster.output('ctl', ['squeue', '--noheader', '--format=%i|%j|%u|%T|%N|%l|%C']);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [id, name = '', user = '', state = '', nodes = '', limit = '', cpus] = line.split('|');
      return { id: Number(id), name, user, state, nodes, limit, cpus: Number(cpus) };
    });
}

/** Shadows that wait or run. */
export async function shadows(cluster: Cluster): Promise<Queued[]> {
  return (await queued(cluster)).filter(({ name }) => name === 'rankshift-shadow');
}

export async function nodesOf(cluster: Cluster, job: number): Promise<string | undefined> {
  return (await queued(cluster)).find(({ id }) => id === job)?.nodes;
}

/** A field of `scontrol show job`, '' where it is not there. */
export async function jobField(cluster: Cluster, job: number, field: string): Promise<string> {
  const text = await cluster.output('ctl', ['scontrol', 'show', 'job', String(job)]);
  return new RegExp(`^ *${field}=(.*?) *$`, 'm').exec(text)?.[1] ?? '';
}

/** Until no shadow is left and all nodes are idle. */
export async function untilNothingIsHeld(cluster: Cluster, timeoutMs = 90_000): Promise<void> {
  await until(
    'no shadow is left, all nodes are idle',
    async () => {
      if ((await shadows(cluster)).length > 0) return false;
      const text = await cluster.output('ctl', ['sinfo', '--noheader', '--Node', '--format=%T']);
      return text.split('\n').every((state) => state === 'idle');
    },
    { timeoutMs, pollMs: 150 },
  );
}
