import { setTimeout as sleep } from 'node:timers/promises';
import { RankshiftError } from '../errors.ts';
import { lastLines, run } from '../process/run.ts';
import type { JobFacts } from './facts.ts';
import { expandHostlist } from './hostlist.ts';
import { isSilence, runSlurm, type SlurmPrograms, slurmProgram } from './programs.ts';

/** Name of every shadow in squeue and sacct. */
export const shadowName = 'rankshift-shadow';
/** The highest that Slurm takes (man scontrol, Priority). */
const topPriority = '4294967293';
/** An allocation that can be had at once is there in a tenth of this. */
const patienceMs = 1000;
const pollMs = 250;

type Owner = Pick<JobFacts, 'job' | 'uid' | 'gid' | 'account' | 'partition' | 'qos' | 'reservation' | 'wckey'>;

/** What is asked of Slurm for a shadow. */
export interface ShadowRequest {
  /** The job whose rank container comes to the node. */
  job: Owner;
  node: string;
  cpus: number;
  memoryMiB: number | null;
  whole: boolean;
  minutes: number;
  /** One line, found again by `listShadows`. */
  comment: string;
  /** It is to be merged into the job (mergeInto). */
  expands?: boolean;
}

/** A shadow as squeue lists it. */
export interface ListedShadow {
  slurmJob: number;
  uid: number;
  /** RUNNING, PENDING, ... */
  state: string;
  nodes: string[];
  /** Unix milliseconds; 0 while it has not started. */
  startedAt: number;
  limitMinutes: number;
  comment: string;
}

function requestArguments(request: ShadowRequest): string[] {
  const { job, node, cpus, memoryMiB, whole, minutes, comment, expands } = request;
  const optional = { account: job.account, qos: job.qos, reservation: job.reservation, wckey: job.wckey };
  return [
    ...['--nodes=1', '--ntasks=1', `--cpus-per-task=${cpus}`, `--nodelist=${node}`, `--time=${minutes}`],
    ...[`--partition=${job.partition}`, `--job-name=${shadowName}`, `--comment=${comment}`, '--chdir=/'],
    ...Object.entries(optional).flatMap(([name, value]) => (value === '' ? [] : [`--${name}=${value}`])),
    ...(memoryMiB === null ? [] : [`--mem=${memoryMiB}M`]),
    ...(whole ? ['--exclusive'] : []),
    ...(expands === true ? [`--dependency=expand:${job.job}`] : []),
  ];
}

/**
 * Whether Slurm could give that now, from `sbatch --test-only`; null, or why not. Nothing is submitted.
 * @throws RankshiftError E_SLURM where Slurm does not answer.
 */
export async function tryShadow(config: SlurmPrograms, request: ShadowRequest, waitMs: number): Promise<string | null> {
  const { job, node } = request;
  const as = [`--uid=${job.uid}`, `--gid=${job.gid}`, '--priority=TOP'];
  const args = ['--test-only', ...as, ...requestArguments(request), '--wrap=true'];
  const result = await runSlurm(config, 'sbatch', args, { allow: 'any' });
  const said = `${result.stderr}\n${result.stdout}`;
  const start = /to start at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)/.exec(said)?.[1];
  if (result.exitCode === 0 && start !== undefined) {
    return new Date(start).getTime() <= Date.now() + waitMs + 1000
      ? null
      : `Slurm could hold ${node} for job ${job.job} only from ${start.replace('T', ' ')} on`;
  }
  if (isSilence(said)) throw silent(said);
  return `Slurm will not hold ${node} for job ${job.job}: ${firstLine(said)}`;
}

/**
 * Asks Slurm for a shadow in the name of the job's user, and waits until it holds its node. It is an allocation without a
 * script: nothing of it runs anywhere. Where it cannot be had at once, it goes before all jobs that wait.
 * @returns the number of the shadow.
 * @throws RankshiftError E_ALLOCATION where Slurm refuses, or cannot within `waitMs`; E_SLURM where it does not answer. Then
 * nothing of it is left, or `listShadows` finds it by its comment.
 */
export async function askShadow(
  config: SlurmPrograms,
  request: ShadowRequest,
  { waitMs, signal }: { waitMs: number; signal?: AbortSignal },
): Promise<number> {
  const { job, node, comment } = request;
  const args = ['--no-shell', '--no-bell', ...requestArguments(request)];
  const ended = new AbortController();
  const hurry = pushForward(config, comment, ended.signal).catch(() => undefined);
  try {
    const options = {
      ...{ uid: job.uid, gid: job.gid, cwd: '/', timeoutMs: waitMs, allow: 'any' as const },
      ...(signal === undefined ? {} : { signal }),
    };
    const { exitCode, stderr } = await run(slurmProgram(config, 'salloc'), args, options);
    const granted = /Granted job allocation (\d+)/.exec(stderr)?.[1];
    if (exitCode === 0 && granted !== undefined) return Number(granted);
    if (isSilence(stderr)) throw silent(stderr);
    throw refusal(`Slurm will not hold ${node} for job ${job.job}: ${firstLine(stderr)}`);
  } catch (error) {
    ended.abort();
    await hurry;
    await cancelByComment(config, comment);
    const known = RankshiftError.from(error);
    if (known.code !== 'E_TIMEOUT') throw known;
    throw refusal(`Slurm could not hold ${node} for job ${job.job} within ${Math.round(waitMs / 1000)} s`);
  } finally {
    ended.abort();
  }
}

function silent(said: string): RankshiftError {
  return new RankshiftError('E_SLURM', `Slurm gave no answer: ${firstLine(said)}`, { retryable: true });
}

function refusal(message: string): RankshiftError {
  return new RankshiftError('E_ALLOCATION', message, { retryable: true, container: 'running on source' });
}

/** A request that waits behind other jobs gets the highest priority: what it takes, its job gives back elsewhere. */
async function pushForward(config: SlurmPrograms, comment: string, signal: AbortSignal): Promise<void> {
  await sleep(patienceMs, undefined, { signal });
  for (;;) {
    const waiting = (await listShadows(config)).find((one) => one.comment === comment && one.state === 'PENDING');
    if (waiting !== undefined) {
      await runSlurm(config, 'scontrol', ['update', `JobId=${waiting.slurmJob}`, `Priority=${topPriority}`]);
      return;
    }
    await sleep(pollMs, undefined, { signal });
  }
}

async function cancelByComment(config: SlurmPrograms, comment: string): Promise<void> {
  try {
    const left = (await listShadows(config)).filter((one) => one.comment === comment);
    await cancelShadows(
      config,
      left.map(({ slurmJob }) => slurmJob),
    );
  } catch {
    // Slurm is silent: whoever looks through the shadows later finds it.
  }
}

/**
 * All shadows that wait or hold a node, of all jobs.
 * @throws RankshiftError E_SLURM.
 */
export async function listShadows(config: SlurmPrograms): Promise<ListedShadow[]> {
  const format = '%i|%U|%T|%N|%S|%l|%k';
  const { stdout } = await runSlurm(config, 'squeue', ['--noheader', `--name=${shadowName}`, `--format=${format}`], {
    env: { SLURM_TIME_FORMAT: '%s' },
  });
  return readShadows(stdout);
}

/** Lines of squeue in the format of `listShadows`; lines of another shape are left out. */
export function readShadows(text: string): ListedShadow[] {
  return text.split('\n').flatMap((line) => {
    const [id, uid, state, nodes, start, limit, ...comment] = line.trim().split('|');
    const slurmJob = Number(id);
    if (!Number.isInteger(slurmJob) || slurmJob < 1 || state === undefined || !/^\d+$/.test(uid ?? '')) return [];
    return [
      {
        slurmJob,
        uid: Number(uid),
        state,
        nodes: expandHostlist(nodes ?? ''),
        startedAt: Number(start) * 1000 || 0,
        limitMinutes: readLimit(limit ?? ''),
        comment: comment.join('|'),
      },
    ];
  });
}

/** `D-HH:MM:SS`, `HH:MM:SS` or `MM:SS` of squeue in minutes, Infinity for UNLIMITED. */
function readLimit(text: string): number {
  const match = /^(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)$/.exec(text);
  if (match === null) return Number.POSITIVE_INFINITY;
  const [days, hours, minutes] = match.slice(1).map((part) => Number(part ?? 0));
  return (days ?? 0) * 1440 + (hours ?? 0) * 60 + (minutes ?? 0);
}

/** Ends shadows; those that have ended already are fine. @throws RankshiftError E_SLURM. */
export async function cancelShadows(config: SlurmPrograms, jobs: readonly number[]): Promise<void> {
  if (jobs.length === 0) return;
  await runSlurm(config, 'scancel', ['--quiet', ...jobs.map(String)]);
}

/** @throws RankshiftError E_SLURM. */
export async function limitShadow(config: SlurmPrograms, slurmJob: number, minutes: number): Promise<void> {
  await runSlurm(config, 'scontrol', ['update', `JobId=${slurmJob}`, `TimeLimit=${minutes}`]);
}

/** What Slurm said, without the names of its programs. */
function firstLine(text: string): string {
  const lines = lastLines(text, 20).filter((line) => !/Pending job allocation|queued and waiting/.test(line));
  return (lines[0] ?? 'no reason given').replace(/^(salloc|sbatch): (error: )?/, '');
}
