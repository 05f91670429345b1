import { z } from 'zod';
import type { Cluster } from '../../mpi-tests/support/cluster.ts';
import type { Job } from '../../mpi-tests/support/job.ts';
import { historyEntrySchema } from '../../src/migration/history.ts';
import { expandHostlist } from '../../src/slurm/hostlist.ts';

/** What Slurm's log of finished jobs says and what `rankshift history` says of a job that moved once; printed, too. */
export async function compareStories(
  cluster: Cluster,
  job: Job,
  show: (argv: string[]) => Promise<void>,
): Promise<string[]> {
  const sacct = ['sacct', '--completion', '--format=jobid,jobname%18,user,nodelist,state,start,end'];
  await show(sacct);
  await show(['rankshift', 'history', '--jobs', String(job.id)]);
  const told = await cluster.output('ctl', [...sacct, '--noheader', '--parsable2']);
  const answer = JSON.parse(await cluster.output('ctl', ['rankshift', 'history', '-j', String(job.id), '--json']));
  const moves = z.array(historyEntrySchema).parse(answer.migrations);
  const [move] = moves;
  if (move === undefined || moves.length !== 1) return [`history has ${moves.length} moves of job ${job.id}`];
  const rows = told.split('\n').map((line) => {
    const [id, name, user = '', nodes = '', state, start = '', end = ''] = line.split('|');
    // `alice(1000)`
    return { id: Number(id), name, user: user.replace(/\(.*/, ''), nodes: expandHostlist(nodes), state, start, end };
  });
  const whole = rows.find(({ id, state }) => id === job.id && state === 'RESIZING');
  const rest = rows.find(({ id, state }) => id === job.id && state === 'COMPLETED');
  const shadow = rows.find(({ name }) => name === 'rankshift-shadow');
  if (whole === undefined || rest === undefined || shadow === undefined)
    return [`sacct lacks a record of the job as it was, of its rest, or of its shadow:\n${told}`];
  const { source, target, startedAt, endedAt } = move;
  const seconds = (at: number | null) => Math.floor((at ?? 0) / 1000);
  const at = (text: string) => Math.floor(Date.parse(text) / 1000);
  const checks: [string, boolean][] = [
    ['the move is completed', move.state === 'completed'],
    ['the job left the source', whole.nodes.includes(source ?? '') && !rest.nodes.includes(source ?? '')],
    ['the shadow held the target', shadow.nodes.includes(target ?? '')],
    ['of the same user', shadow.user === whole.user && whole.user === move.user],
    // Slurm tells whole seconds.
    ['the shadow begins with the move', at(shadow.start) >= seconds(startedAt) && at(shadow.start) <= seconds(endedAt)],
    ['the source leaves with the move', at(whole.end) >= at(shadow.start) && at(whole.end) <= seconds(endedAt) + 1],
    ['the rest begins where that ends', Math.abs(at(rest.start) - at(whole.end)) <= 1],
    ['the shadow goes after the job', at(shadow.end) >= at(rest.end)],
  ];
  return checks.filter(([, right]) => !right).map(([what]) => `sacct and history disagree: ${what}`);
}
