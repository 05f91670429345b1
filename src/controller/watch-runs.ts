import { RankshiftError } from '../errors.ts';
import { parseContainerId } from '../migration/container.ts';
import { type Report, reportSchema } from '../migration/reports.ts';
import { holdsNodes, jobFacts } from '../slurm/facts.ts';
import { readAllocation } from '../store/allocations.ts';
import { listRuns, readRun } from '../store/runs.ts';
import type { ControllerContext } from './context.ts';
import { endRun } from './end-run.ts';
import { settleSoon } from './watch-allocations.ts';

const lookMs = 15_000;
/** How long the end of the main program may wait for `rankshift run` to fetch it. */
const fetchMs = 15_000;

/** Ends the runs of jobs that Slurm has ended: told by the epilog, and by looking now and then. */
export function watchRuns(context: ControllerContext, attached: ReadonlySet<number>): void {
  const timer = setInterval(() => {
    endFinishedRuns(context, attached).catch((error: Error) =>
      context.log.warn({ error: error.message }, 'watching runs'),
    );
  }, lookMs);
  context.stopping.addEventListener('abort', () => clearInterval(timer));
}

async function endFinishedRuns(context: ControllerContext, attached: ReadonlySet<number>): Promise<void> {
  for (const { job } of await listRuns(context.redis)) {
    const { stage } = await stageOf(context, job);
    // A `rankshift run` that is still there was told to end and has Slurm's KillWait for it.
    if (stage === 'over' || (stage === 'ending' && !attached.has(job))) await endRun(context, job);
  }
}

/** Slurm's word; where Slurm does not answer, the job is taken to run. */
async function stageOf(
  context: ControllerContext,
  job: number,
): Promise<{ stage: 'running' | 'ending' | 'over'; scriptNode: string }> {
  try {
    const facts = await jobFacts(context.config, job);
    const ending = facts.state === 'completing' || facts.stateFlags.includes('completing');
    const scriptNode = facts.batchHost === '' ? (facts.nodes[0] ?? '') : facts.batchHost;
    return { stage: !holdsNodes(facts) ? 'over' : ending ? 'ending' : 'running', scriptNode };
  } catch (error) {
    return { stage: RankshiftError.from(error).code === 'E_UNKNOWN_JOB' ? 'over' : 'running', scriptNode: '' };
  }
}

/** Acts on what an agent reported, after looking for itself. */
export async function handleReport(
  context: ControllerContext,
  attached: ReadonlySet<number>,
  data: unknown,
): Promise<void> {
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
  if (parsed === null || parsed.index !== 0 || attached.has(parsed.job)) return;
  const run = await readRun(context.redis, parsed.job);
  if (run === null) return;
  setTimeout(() => {
    void readRun(context.redis, parsed.job).then(async (now) => {
      if (now?.run === run.run && !attached.has(run.job)) await endRun(context, run.job);
    });
  }, fetchMs).unref();
}
