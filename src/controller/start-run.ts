import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { resolveImage } from '../container/images/store.ts';
import { mpiKindSchema } from '../container/mpi/launch-plan.ts';
import { RankshiftError } from '../errors.ts';
import type { ContainerFacts } from '../migration/commands.ts';
import { containerId } from '../migration/container.ts';
import { readWishes } from '../migration/policy-wishes.ts';
import { jobFacts } from '../slurm/facts.ts';
import { createContainer, setContainerState } from '../store/containers.ts';
import { forgetExit } from '../store/exits.ts';
import { createRun, type RunRecord, updateRun } from '../store/runs.ts';
import { accountOf } from './accounts.ts';
import { chooseMpi } from './choose-mpi.ts';
import type { ControllerContext } from './context.ts';
import { endRun } from './end-run.ts';
import { untilSlurmAnswers } from './hold-target.ts';
import { withPlaces } from './job-places.ts';
import { agentAddress } from './node-facts.ts';
import { subjectOf, wishesOfJob } from './policy.ts';

/** What `rankshift run` asks for. */
export const runRequestSchema = z.strictObject({
  job: z.number().int().min(1),
  image: z.string().max(255).optional(),
  shim: z.boolean().optional(),
  mpi: mpiKindSchema.or(z.literal('auto')).optional(),
  ranksPerContainer: z.number().int().min(1).max(4096).optional(),
  program: z.array(z.string().max(131_072)).min(1).max(4096),
  environment: z
    .array(
      z
        .string()
        .regex(/^[A-Za-z_][A-Za-z0-9_]*=/)
        .max(131_072),
    )
    .max(1024),
  workDir: z.string().regex(/^\/[^\0\n]*$/),
  /** How its containers may be moved, as options (policy-wishes.ts). */
  wishes: z.array(z.string().max(512)).max(32).optional(),
});
export type RunRequest = z.infer<typeof runRequestSchema>;

/** The smallest share of a node: a container may come to any of them. Null where there is none or no limit. */
function leastOf(shares: Record<string, number>): number | null {
  const least = Math.min(...Object.values(shares));
  return Number.isFinite(least) && least >= 1 ? Math.floor(least) : null;
}

/** The client waits for a minute, and a question to a slurmctld that is away takes 18 s by itself. */
const slurmMs = 20_000;
/** A start is over within this, image already on the store. */
const launchMs = 60_000;

/**
 * Starts one rank container per allocated node and mpirun in the first.
 * @throws RankshiftError E_NOT_PERMITTED, E_UNKNOWN_JOB, E_UNKNOWN_IMAGE, E_AGENT, E_BUSY; then nothing is left.
 */
export async function startRun(context: ControllerContext, uid: number, request: RunRequest): Promise<RunRecord> {
  const { config, redis, log } = context;
  // A script that begins while slurmctld is started again is not to fail for that.
  const known = await untilSlurmAnswers(Date.now() + slurmMs, () => jobFacts(config, request.job));
  const job = await withPlaces(context, known);
  if (job.uid !== uid) throw new RankshiftError('E_NOT_PERMITTED', `job ${request.job} belongs to ${job.user}`);
  if (job.state !== 'running') throw new RankshiftError('E_REFUSED', `job ${request.job} is ${job.state}, not running`);
  const imageName = request.image ?? config.defaultImage;
  if (imageName === '')
    throw new RankshiftError(
      'E_BAD_INPUT',
      'name an image with --image; there is no DefaultImage in the configuration',
    );
  const image = await resolveImage(config.imageStore, imageName);
  const { mpi, starter } = await chooseMpi(config, image, request.mpi ?? 'auto');
  const [account, wishes] = await Promise.all([accountOf(job.uid, job.gid), wishesOfJob(context, job, request.wishes)]);
  const [wrong] = readWishes(wishes).errors;
  if (wrong !== undefined) throw new RankshiftError('E_BAD_INPUT', wrong);
  const ranks = request.ranksPerContainer ?? Math.max(1, ...Object.values(job.tasksPerNode));
  const run: RunRecord = {
    job: job.job,
    run: randomBytes(8).toString('hex'),
    uid,
    user: job.user,
    image: imageName,
    nodes: job.nodes,
    containers: job.nodes.length,
    ranksPerContainer: ranks,
    program: request.program,
    state: 'starting',
    startedAt: Date.now(),
    subject: subjectOf(job),
    wishes,
  };
  if (!(await createRun(redis, run))) {
    throw new RankshiftError('E_BUSY', `job ${job.job} has a run already; one after another is possible`, {
      action: 'Wait until the other rankshift run of this job has ended.',
    });
  }
  await forgetExit(redis, job.job);
  const memoryMiB = job.memoryPerNode === undefined ? null : leastOf(job.memoryPerNode);
  const common: Omit<ContainerFacts, 'id' | 'index' | 'program'> = {
    job: job.job,
    run: run.run,
    uid,
    gid: job.gid,
    user: job.user,
    home: account.home,
    groups: account.groups,
    image: imageName,
    layers: image.layers,
    mpi,
    mpiStarter: starter,
    shim: request.shim ?? true,
    imageEnvironment: image.config.env,
    environment: request.environment,
    workDir: request.workDir,
    ranksPerContainer: ranks,
    containers: job.nodes.length,
    cpus: leastOf(job.cpusPerNode),
    memoryBytes: memoryMiB === null ? null : memoryMiB * 1_048_576,
  };
  try {
    const addresses = await Promise.all(job.nodes.map((node) => agentAddress(context, node)));
    const places = Object.fromEntries(addresses.map(({ address }, index) => [String(index), address]));
    const launch = async (node: string, index: number) => {
      const id = containerId(job.job, index);
      const facts: ContainerFacts = { ...common, id, index, program: index === 0 ? request.program : null };
      await createContainer(redis, {
        ...{ id, job: job.job, index, uid, user: job.user, image: imageName, state: 'starting' as const },
        ...{ owner: node, epoch: 1, switch: '', migration: '', heading: '', moves: 0 },
        ...{ run: run.run, startedAt: run.startedAt },
      });
      await context.commands.send(node, 'launch', { facts, places }, { timeoutMs: launchMs, container: id, epoch: 1 });
      await setContainerState(redis, id, 'running');
    };
    // The container with mpirun last: the others listen by then.
    await Promise.all(job.nodes.map((node, index) => (index === 0 ? undefined : launch(node, index))));
    await launch(job.nodes[0] ?? '', 0);
    const started: RunRecord = { ...run, state: 'running' };
    await updateRun(redis, started);
    log.info({ job: job.job, nodes: job.nodes, image: imageName }, 'run started');
    return started;
  } catch (error) {
    await endRun(context, job.job, run.run);
    throw error;
  }
}
