import type { Config } from '../config.ts';
import { RankshiftError } from '../errors.ts';
import { type AskOptions, askScontrol, runScontrol } from './ask.ts';
import { jobsAnswer, nodesAnswer, type SlurmJob, type SlurmNode } from './facts-schema.ts';
import { expandHostlist } from './hostlist.ts';
import { spreadTasks } from './tasks.ts';

/** What Slurm knows about a job. */
export interface JobFacts {
  job: number;
  user: string;
  uid: number;
  gid: number;
  /** Base state in lower case, as squeue names it: running, pending, completing, ... */
  state: string;
  /** Further state flags in lower case, for example configuring or resizing. */
  stateFlags: string[];
  nodes: string[];
  /** Empty while the job is pending. */
  batchHost: string;
  /** Allocated CPUs per node name. */
  cpusPerNode: Record<string, number>;
  /** Tasks per node name: as asked for, or spread over the CPUs as Slurm's block distribution does. */
  tasksPerNode: Record<string, number>;
  /** Memory limit in MiB per node name; absent where Slurm does not hand out memory. */
  memoryPerNode?: Record<string, number>;
  workDir: string;
  name: string;
  account: string;
  partition: string;
  qos: string;
  reservation: string;
  wckey: string;
  /** It has whole nodes (--exclusive). */
  whole: boolean;
  /** How often it was requeued. */
  restarts: number;
  adminComment: string;
  /** Seconds; absent where there is no limit. */
  timeLimit?: number;
  /** Milliseconds since 1970; absent where unknown. */
  endTime?: number;
  comment: string;
}

/** What Slurm knows about a node. */
export interface NodeFacts {
  name: string;
  address: string;
  /** Lower case, as sinfo names them: idle, allocated, mixed, down, draining, drained, not_responding, ... */
  state: string[];
  /** False where Slurm would start nothing new here: down, draining, drained, failing, not responding, ... */
  usable: boolean;
  reason: string;
  cpus: number;
  allocatedCpus: number;
  memoryMiB: number;
  allocatedMemoryMiB: number;
}

type Scontrol = Pick<Config, 'scontrolPath'>;

/**
 * Facts of one job, from `scontrol show job N --json`.
 * @throws RankshiftError E_UNKNOWN_JOB only where slurmctld itself says so; E_SLURM, E_MISSING.
 */
export async function jobFacts(config: Scontrol, job: number, options: AskOptions = {}): Promise<JobFacts> {
  const args = ['show', 'job', String(job)];
  try {
    const { jobs } = await askScontrol(config.scontrolPath, [...args, '--json'], jobsAnswer, options);
    const found = jobs.find((candidate) => candidate.job_id === job);
    if (found !== undefined) return toJobFacts(found);
    // For a job that is not there 24.11 exits 0 with an empty list, and does the same where no slurmctld answers. Without
    // JSON it says which of the two it is.
    const { stdout } = await runScontrol(config.scontrolPath, args, options);
    throw silent(`scontrol listed no job ${job} and then knew it: ${stdout.split('\n')[0] ?? ''}`);
  } catch (error) {
    if (error instanceof RankshiftError && error.message.includes('Invalid job id')) {
      throw new RankshiftError('E_UNKNOWN_JOB', `Slurm knows no job ${job}`, { cause: error });
    }
    throw error;
  }
}

/**
 * All jobs that hold nodes now (running, completing, suspended), from `scontrol show jobs --json`; for reconciliation.
 * @throws RankshiftError E_SLURM, E_MISSING.
 */
export async function runningJobs(config: Scontrol, options: AskOptions = {}): Promise<JobFacts[]> {
  const answer = await askScontrol(config.scontrolPath, ['show', 'jobs', '--json'], jobsAnswer, options);
  const { jobs, last_update: at } = answer;
  if (jobs.length === 0 && !at) throw silent('slurmctld did not say which jobs there are');
  return jobs.map(toJobFacts).filter((facts) => facts.nodes.length > 0 && holdsNodes(facts));
}

/** True while Slurm has nodes set aside for the job, its epilog included. */
export function holdsNodes(facts: Pick<JobFacts, 'state' | 'stateFlags'>): boolean {
  return ['running', 'suspended'].includes(facts.state) || [facts.state, ...facts.stateFlags].includes('completing');
}

/**
 * Facts of all nodes, or of those in `names`, from `scontrol show nodes --json`.
 * @throws RankshiftError E_UNKNOWN_NODE for a name that Slurm does not know, E_SLURM, E_MISSING.
 */
export async function nodeFacts(
  config: Scontrol,
  names?: readonly string[],
  options: AskOptions = {},
): Promise<NodeFacts[]> {
  const { nodes } = await askScontrol(config.scontrolPath, ['show', 'nodes', '--json'], nodesAnswer, options);
  // A cluster has nodes: 24.11 exits 0 with an empty list where no slurmctld answers.
  if (nodes.length === 0) throw silent('slurmctld did not say which nodes there are');
  const facts = nodes.map(toNodeFacts);
  if (names === undefined) return facts;
  return names.map((name) => {
    const found = facts.find((candidate) => candidate.name === name);
    if (found === undefined) throw new RankshiftError('E_UNKNOWN_NODE', `Slurm knows no node named ${name}`);
    return found;
  });
}

function silent(message: string): RankshiftError {
  return new RankshiftError('E_SLURM', message, { retryable: true });
}

/** Turns one entry of scontrol's answer into facts. */
export function toJobFacts(job: SlurmJob): JobFacts {
  const [state = 'unknown', ...stateFlags] = job.job_state.map((flag) => flag.toLowerCase());
  const nodes = expandHostlist(job.nodes === '(null)' ? '' : job.nodes);
  const shares = (job.job_resources?.shares ?? []).filter((share) => nodes.includes(share.name));
  const cpusPerNode = Object.fromEntries(shares.map(({ name, cpus }) => [name, cpus ?? 1]));
  const memory = new Map(shares.map(({ name, memoryMiB }) => [name, memoryMiB ?? 0]));
  const memoryPerNode = Object.fromEntries(
    nodes.map((name) => [name, memory.get(name) || finite(job.memory_per_node) || 0] as const),
  );
  const timeLimitMinutes = finite(job.time_limit);
  const endTimeSeconds = finite(job.end_time);
  return {
    job: job.job_id,
    user: job.user_name,
    uid: job.user_id,
    gid: job.group_id,
    state,
    stateFlags,
    nodes,
    batchHost: job.batch_host,
    cpusPerNode,
    tasksPerNode: spreadTasks(nodes, cpusPerNode, {
      tasks: finite(job.tasks) ?? nodes.length,
      tasksPerNode: finite(job.tasks_per_node) ?? 0,
      cpusPerTask: finite(job.cpus_per_task) ?? 1,
    }),
    ...(nodes.some((name) => memoryPerNode[name] !== 0) ? { memoryPerNode } : {}),
    workDir: job.current_working_directory,
    name: job.name,
    account: job.account,
    partition: job.partition,
    qos: job.qos,
    reservation: job.resv_name,
    wckey: job.wckey.replace(/^\*/, ''),
    whole: job.job_resources?.whole === true || job.shared?.includes('none') === true,
    restarts: finite(job.restart_cnt) ?? 0,
    adminComment: job.admin_comment,
    ...(timeLimitMinutes === undefined ? {} : { timeLimit: timeLimitMinutes * 60 }),
    ...(endTimeSeconds === undefined || endTimeSeconds === 0 ? {} : { endTime: endTimeSeconds * 1000 }),
    comment: job.comment,
  };
}

const unusable = ['down', 'draining', 'drained', 'error', 'fail', 'failing', 'not_responding', 'no_respond'].concat(
  ['future', 'unknown', 'invalid', 'invalid_reg', 'planned_down', 'powered_down', 'powering_down', 'power_down'],
  ['powering_up', 'reboot_requested', 'reboot_issued', 'maintenance', 'maint', 'blocked'],
);

/** Turns one entry of scontrol's answer into facts; drain becomes draining or drained as in sinfo. */
export function toNodeFacts(node: SlurmNode): NodeFacts {
  const flags = [...node.state, ...(node.state_flags ?? [])].map((flag) => flag.toLowerCase());
  const busy = flags.some((flag) => ['allocated', 'mixed', 'completing'].includes(flag));
  const state = [...new Set(flags.map((flag) => (flag === 'drain' ? (busy ? 'draining' : 'drained') : flag)))];
  return {
    name: node.name,
    address: node.address,
    state,
    usable: !state.some((flag) => unusable.includes(flag)),
    reason: node.reason,
    cpus: node.cpus,
    allocatedCpus: finite(node.alloc_cpus) ?? 0,
    memoryMiB: node.real_memory,
    allocatedMemoryMiB: finite(node.alloc_memory) ?? 0,
  };
}

function finite(value: number | undefined): number | undefined {
  return value === Infinity ? undefined : value;
}
