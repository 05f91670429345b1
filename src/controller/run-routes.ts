import { z } from 'zod';
import { type ApiRequest, type Route, route } from '../api/route.ts';
import type { Credentials } from '../channel/credentials.ts';
import { RankshiftError } from '../errors.ts';
import { containerId } from '../migration/container.ts';
import { breakpoint } from '../process/breakpoint.ts';
import { readContainer } from '../store/containers.ts';
import { noteExit, readExit } from '../store/exits.ts';
import { type RunRecord, readRun } from '../store/runs.ts';
import { type Caller, requireOwner } from './authorize.ts';
import type { ControllerContext } from './context.ts';
import { endRun } from './end-run.ts';
import { wishNotes } from './policy.ts';
import { runRequestSchema, startRun } from './start-run.ts';
import { stayAttached } from './stay-attached.ts';
import { type OutputEvent, streamOutput } from './stream-output.ts';

const offset = z.coerce.number().int().min(0).default(0);
const signalSchema = z.strictObject({
  signal: z.enum(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGQUIT', 'SIGCONT', 'SIGTSTP']),
});

/** What `rankshift run` asks for, and who looks after it. */
export function runRoutes(
  context: ControllerContext,
  credentials: Credentials,
  caller: (request: ApiRequest<unknown, unknown>) => Promise<Caller>,
): Route[] {
  const ownRun = async (request: ApiRequest<unknown, unknown>): Promise<RunRecord> => {
    const job = Number(request.params['job']);
    const run = Number.isInteger(job) ? await readRun(context.redis, job) : null;
    if (run === null) throw new RankshiftError('E_UNKNOWN_JOB', `job ${request.params['job']} has no run`);
    requireOwner(await caller(request), run, `job ${job}`);
    return run;
  };
  /** Of a run that has ended, where whoever reads its output was cut off from its exit code. */
  const exitOf = async (request: ApiRequest<unknown, unknown>): Promise<OutputEvent | null> => {
    const job = Number(request.params['job']);
    if (!Number.isInteger(job) || (await readRun(context.redis, job)) !== null) return null;
    const exit = await readExit(context.redis, job);
    if (exit === null) return null;
    requireOwner(await caller(request), exit, `job ${job}`);
    return { type: 'exit', code: exit.code };
  };
  return [
    route({
      method: 'POST',
      path: '/v1/runs',
      body: runRequestSchema,
      handle: async (request) => {
        const run = await startRun(context, request.identity.uid, request.body);
        return { run, notes: await wishNotes(context, run.job) };
      },
    }),
    route({
      method: 'GET',
      path: '/v1/runs/:job/output',
      query: z.object({ stdout: offset, stderr: offset }),
      handle: async (request) => {
        const ended = await exitOf(request);
        return ended === null ? followRun(context, credentials, await ownRun(request), request) : only(ended);
      },
    }),
    route({
      method: 'POST',
      path: '/v1/runs/:job/signal',
      body: signalSchema,
      handle: async (request) => {
        const { job } = await ownRun(request);
        const container = await readContainer(context.redis, containerId(job, 0));
        if (container === null) throw new RankshiftError('E_JOB_ENDED', `the run of job ${job} has ended`);
        await context.commands.send(
          container.owner,
          'signal',
          { container: container.id, signal: request.body.signal },
          { container: container.id },
        );
        return {};
      },
    }),
    route({
      method: 'DELETE',
      path: '/v1/runs/:job',
      handle: async (request) => {
        await endRun(context, (await ownRun(request)).job);
        return {};
      },
    }),
  ];
}

/**
 * Streams a run's output to `rankshift run`; when the program has ended, the run is ended too. Its exit code is in the
 * records before anything of it is taken down: a controller that dies in between leaves the rest to whoever is asked next.
 */
async function* followRun(
  context: ControllerContext,
  credentials: Credentials,
  run: RunRecord,
  request: ApiRequest<unknown, { stdout: number; stderr: number }>,
): AsyncGenerator<OutputEvent> {
  const { redis } = context;
  const { job, uid } = run;
  const detach = await stayAttached(context, job);
  try {
    const known = await readExit(redis, job);
    const events =
      known?.run === run.run
        ? [{ type: 'exit' as const, code: known.code }]
        : streamOutput(context, credentials, run, request.query, request.signal);
    for await (const event of events) {
      if (event.type !== 'exit') {
        yield event;
        continue;
      }
      await noteExit(redis, { job, run: run.run, uid, code: event.code });
      await breakpoint(context.config, 'controller-run-exited');
      const lost = await endRun(context, job, run.run);
      // mpirun may end with 0 although it had to give the job up.
      const code = lost.length > 0 && event.code === 0 ? 1 : event.code;
      if (code !== event.code) await noteExit(redis, { job, run: run.run, uid, code });
      await breakpoint(context.config, 'controller-run-ended');
      for (const { id, node } of lost) yield message(`rankshift: container ${id} was lost on ${node}\n`);
      yield { type: 'exit', code };
    }
  } finally {
    await detach();
  }
}

async function* only(event: OutputEvent): AsyncGenerator<OutputEvent> {
  yield event;
}

function message(text: string): OutputEvent {
  return { type: 'output', stdout: '', stderr: Buffer.from(text).toString('base64') };
}
