import { RankshiftError } from '../errors.ts';
import { parseContainerId } from '../migration/container.ts';
import { type Report, reportSchema } from '../migration/reports.ts';
import { holdsNodes, jobFacts } from '../slurm/facts.ts';
import { readAllocation } from '../store/allocations.ts';
import { isAttached } from '../store/attached.ts';
import { readContainer } from '../store/containers.ts';
import { listRuns, type RunRecord, readRun } from '../store/runs.ts';
import type { ControllerContext } from './context.ts';
import { endRun } from './end-run.ts';
import { settleSoon } from './watch-allocations.ts';

const lookMs = 15_000;
/** How long the end of the main program may wait for `rankshift run` to fetch it. */
const fetchMs = 15_000;

/** Ends the runs of jobs that Slurm has ended: told by the epilog, and by looking now and then. */
export function watchRuns(context: ControllerContext): void {
  let busy = false;
  const timer = setInterval(() => {
    // While slurmctld is away each question takes its time.
    if (busy) return;
    busy = true;
    endFinishedRuns(context, (job, run) => endRun(context, job, run))
      .catch((error: Error) => context.log.warn({ error: error.message }, 'watching runs'))
      .finally(() => {
        busy = false;
      });
  }, lookMs);
  context.stopping.addEventListener('abort', () => clearInterval(timer));
}

/** One look. @param end endRun */
export async function endFinishedRuns(
  context: Pick<ControllerContext, 'redis' | 'config' | 'log'>,
  end: (job: number, run: string) => Promise<unknown>,
): Promise<void> {
  for (const { job, run } of await listRuns(context.redis)) {
    const { stage } = await stageOf(context, job);
    // A `rankshift run` that is still there was told to end and has Slurm's KillWait for it.
    if (stage !== 'over' && (stage !== 'ending' || (await isAttached(context.redis, job)))) continue;
    await end(job, run).catch((error: Error) =>
      context.log.warn({ job, error: error.message }, 'a run was not ended; it is tried again'),
    );
  }
}

/** Slurm's word; where Slurm does not answer, the job is taken to run. */
async function stageOf(
  context: Pick<ControllerContext, 'config'>,
  job: number,
): Promise<{ stage: 'running' | 'ending' | 'over'; scriptNode: string }> {
  try {
    const facts = await jobFacts(context.config, job);
    const ending = facts.state === 'completing' || facts.stateFlags.includes('completing');
    const scriptNode = facts.batchHost === '' ? (facts.nodes[0] ?? '') : facts.batchHost;
    // A word that we do not know is no word of an end.
    if (facts.state === 'unknown') return { stage: 'running', scriptNode };
    return { stage: !holdsNodes(facts) ? 'over' : ending ? 'ending' : 'running', scriptNode };
  } catch (error) {
    return { stage: RankshiftError.from(error).code === 'E_UNKNOWN_JOB' ? 'over' : 'running', scriptNode: '' };
  }
}

/** Acts on what an agent reported, after looking for itself. */
export async function handleReport(context: ControllerContext, data: unknown): Promise<void> {
  const report: Report = reportSchema.parse(data);
  context.log.info(report, report.type);
  if (report.type === 'hook') {
    if (report.event !== 'epilog') return;
    if ((await readRun(context.redis, report.job)) === null) {
      // Its run has ended before it; what is held for it goes now.
      if ((await readAllocation(context.redis, report.job)) !== null) await settleSoon(context, report.job);
      return;
    }
    // Where the script runs, the epilog comes after its end. On the other nodes, which have no process that Slurm knows
    // of, it comes as soon as the job is cancelled: the ranks then still have the time that SIGTERM gives them.
    const { stage, scriptNode } = await stageOf(context, report.job);
    if (stage === 'over' || (stage === 'ending' && report.node === scriptNode)) await endRun(context, report.job);
    return;
  }
  const parsed = parseContainerId(report.container);
  if (parsed === null || parsed.index !== 0 || (await isAttached(context.redis, parsed.job))) return;
  const [run, record] = await Promise.all([
    readRun(context.redis, parsed.job),
    readContainer(context.redis, report.container),
  ]);
  // A node that comes back with what is left of an earlier run of the job tells nothing of this one.
  if (run === null || record?.owner !== report.node || !['', run.run].includes(report.run)) return;
  setTimeout(() => {
    endUnread(context, run).catch((error: Error) =>
      context.log.warn({ job: run.job, error: error.message }, 'a run was not ended; it is looked at again'),
    );
  }, fetchMs).unref();
}

/** Its main program has ended, and nobody came for its exit code. */
async function endUnread(context: ControllerContext, { job, run }: RunRecord): Promise<void> {
  if (!(await isAttached(context.redis, job))) await endRun(context, job, run);
}
