import { Command } from 'commander';
import { z } from 'zod';
import { ApiClient } from '../api/client.ts';
import { loadConfig } from '../config.ts';
import { type MpiKind, mpiKinds } from '../container/mpi/launch-plan.ts';
import { RankshiftError } from '../errors.ts';
import { isAway } from './away.ts';
import { forwardSignals } from './forward-signals.ts';

const pauseMs = 500;

const eventSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('output'), stdout: z.string(), stderr: z.string() }),
  z.object({ type: z.literal('exit'), code: z.number().int() }),
  z.object({ type: z.literal('gone') }),
]);

interface RunOptions {
  image?: string;
  mpi: string;
  shim: boolean;
  ranksPerContainer?: string;
  neverMove?: true;
  strategies?: string;
  maxDowntime?: string;
  bandwidth?: string;
  window?: string;
  gang?: boolean;
}

/** `rankshift run -- PROGRAM ARGS`, in a job's script. */
export function runCommand(): Command {
  return new Command('run')
    .description('start one rank container per allocated node and an MPI program in them (inside an sbatch script)')
    .usage('[options] -- PROGRAM [ARGS...]')
    .argument('<program...>', 'MPI program and its arguments')
    .option('--image <name>', 'container image (default: DefaultImage of the configuration; see: rankshift image ls)')
    .option('--mpi <which>', 'openmpi, mpich, or auto: the one whose mpirun the image has', 'auto')
    .option('--no-shim', 'ranks without the MPI shim, which keeps MPI_Wtime of MPICH right')
    .option('--ranks-per-container <k>', 'ranks per container (default: tasks per node of the job)')
    .option('--never-move', 'its containers are not to be moved')
    .option('--strategies <list>', 'how they may be moved, for example pre-copy,stop-and-copy')
    .option('--max-downtime <time>', 'longest downtime of a move, for example 500ms')
    .option('--bandwidth <rate>', 'most that a move takes of the link while the ranks run, for example 100M')
    .option('--window <window>', 'when moves may begin, for example 22:00-06:00')
    .option('--gang', 'containers that move together are frozen together')
    .option('--no-gang', 'they are frozen one after another')
    .addHelpText(
      'after',
      `
The last seven may stand in the script as well, as lines like: #RANKSHIFT --max-downtime=500ms --never-move
They hold within the policy of the site (rankshift policy check JOB shows both).

Exit code: that of mpirun (of mpiexec.hydra, for MPICH). Signals are forwarded to it, scancel ends everything.

Example: a script for sbatch
  #!/bin/bash
  #SBATCH --nodes=3 --ntasks-per-node=2
  rankshift run --image mpi -- ./solver input.dat`,
    )
    .action(async (program: string[], options: RunOptions) => {
      const { image, mpi, shim, ranksPerContainer } = options;
      const job = Number(process.env['SLURM_JOB_ID']);
      if (!Number.isInteger(job) || job < 1) {
        throw new RankshiftError(
          'E_USAGE',
          'there is no SLURM_JOB_ID: rankshift run belongs into the script of a Slurm job',
          {
            action: 'Submit a script that calls it: sbatch -N 3 --wrap "rankshift run -- PROGRAM"',
          },
        );
      }
      const api = new ApiClient(loadConfig());
      const { notes } = await api.post('/v1/runs', {
        job,
        program,
        workDir: process.cwd(),
        environment: Object.entries(process.env).flatMap(([name, value]) =>
          /^[A-Za-z_]\w*$/.test(name) ? [`${name}=${value}`] : [],
        ),
        ...(image === undefined ? {} : { image }),
        mpi: parseMpi(mpi),
        ...(shim ? {} : { shim }),
        ...(ranksPerContainer === undefined ? {} : { ranksPerContainer: parseRanks(ranksPerContainer) }),
        wishes: wishesOf(options),
      });
      for (const note of Array.isArray(notes) ? notes : []) console.error(`rankshift: note: ${note}`);
      forwardSignals(api, job);
      process.exitCode = await relayOutput(api, job);
    });
}

/** Options as a script's #RANKSHIFT lines have them. */
function wishesOf({ neverMove, strategies, maxDowntime, bandwidth, window, gang }: RunOptions): string[] {
  const named = { strategies, 'max-downtime': maxDowntime, bandwidth, window };
  return [
    ...(neverMove === true ? ['--never-move'] : []),
    ...(gang === undefined ? [] : [gang ? '--gang' : '--no-gang']),
    ...Object.entries(named).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${value}`])),
  ];
}

function parseMpi(text: string): MpiKind | 'auto' {
  const found = (['auto', ...mpiKinds] as const).find((kind) => kind === text);
  if (found !== undefined) return found;
  throw new RankshiftError('E_BAD_INPUT', `--mpi ${text}: allowed is auto, ${mpiKinds.join(' or ')}`);
}

function parseRanks(text: string): number {
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw new RankshiftError('E_BAD_INPUT', `--ranks-per-container ${text}: allowed is 1 to 4096`);
}

/** Copies the program's output here as it comes, across moves and restarts of the service; returns its exit code. */
async function relayOutput(api: ApiClient, job: number): Promise<number> {
  const at = { stdout: 0, stderr: 0 };
  for (;;) {
    try {
      for await (const value of api.stream(`/v1/runs/${job}/output?stdout=${at.stdout}&stderr=${at.stderr}`)) {
        const event = eventSchema.parse(value);
        if (event.type === 'exit') return event.code;
        if (event.type === 'gone') {
          console.error('rankshift: the run was ended from outside');
          return 1;
        }
        at.stdout += await write(process.stdout, event.stdout);
        at.stderr += await write(process.stderr, event.stderr);
      }
    } catch (error) {
      // The controller restarts or Redis is away: the ranks run on, and so does the output, from where it was.
      if (!isAway(error)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

async function write(stream: NodeJS.WriteStream, base64: string): Promise<number> {
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.length === 0) return 0;
  await new Promise<void>((resolve, reject) =>
    stream.write(bytes, (error) => (error == null ? resolve() : reject(error))),
  );
  return bytes.length;
}
