import type { Cluster } from '../../mpi-tests/support/cluster.ts';
import type { Job } from '../../mpi-tests/support/job.ts';
import { tryMove } from '../../mpi-tests/support/move.ts';
import { untilNothingIsLeft } from '../../mpi-tests/support/use-cluster.ts';
import { driftAcross, parseDrift } from '../../src/demo/drift.ts';
import type { MigrationRecord, Strategy } from '../../src/migration/record.ts';
import { gapsOf, stallOf, windowOf } from '../cluster/gaps.ts';
import { load } from '../measure/machine.ts';
import { rounded, type Summary, summarize } from '../measure/statistics.ts';
import type { Program } from './programs.ts';
import type { Row } from './row.ts';

/** Lines of progress after each move, before the next: the program goes on. */
const goesOn = 2;
/** A program that ends before it was moved often enough is started anew. */
const mostJobs = 12;

export interface Proof {
  strategy: Strategy;
  name: string;
  program: Program;
  /** Of a run that was not moved. */
  reference: string;
  moves: number;
}

interface Moved {
  job: Job;
  record: MigrationRecord;
}

/** Moves the containers of a program in turn, one after the other, until it was moved often enough; then its results. */
export async function prove(cluster: Cluster, { strategy, name, program, reference, moves }: Proof): Promise<Row> {
  const started = performance.now();
  const loadBefore = load();
  const wrong: string[] = [];
  const done: Moved[] = [];
  let jobs = 0;
  while (done.length < moves && jobs < mostJobs && wrong.length === 0) {
    const job = await program.start(cluster);
    jobs++;
    try {
      done.push(...(await moveAbout(cluster, program, job, strategy, moves - done.length)));
      wrong.push(...(await program.check(job, reference)));
    } catch (error) {
      wrong.push((error as Error).message.slice(0, 500));
      await cluster.exec('ctl', ['scancel', String(job.id)]);
    }
    wrong.push(...(await untilNothingIsLeft(cluster)).map((left) => `left behind: ${left}`));
  }
  if (done.length < moves && wrong.length === 0) wrong.push(`only ${done.length} moves in ${jobs} jobs`);
  return {
    strategy,
    program: name,
    about: program.about,
    moves: done.length,
    jobs,
    wrong,
    ...figures(done),
    seconds: Math.round((performance.now() - started) / 1000),
    measuredAt: new Date().toISOString().slice(0, 16),
    loadBefore,
  };
}

async function moveAbout(
  cluster: Cluster,
  program: Program,
  job: Job,
  strategy: Strategy,
  most: number,
): Promise<Moved[]> {
  const done: Moved[] = [];
  const places = ['n1', 'n2'];
  await job.untilPrinted(program.progress, goesOn);
  while (done.length < most && !program.nearEnd(job)) {
    const index = (done.length + 1) % places.length;
    const to = cluster.nodes.find((node) => !places.includes(node)) ?? '';
    const { record } = await tryMove(cluster, job.container(index), { to, strategy });
    if (record.error?.code === 'E_JOB_ENDED') break;
    if (record.state !== 'completed') throw new Error(`migration ${record.id}: ${JSON.stringify(record.error)}`);
    if (record.plan?.strategy !== strategy) throw new Error(`migration ${record.id} went by ${record.plan?.strategy}`);
    places[index] = to;
    const at = job.lines(program.progress).length;
    await job.untilPrinted(program.progress, at + goesOn, 120_000);
    done.push({ job, record });
  }
  return done;
}

function figures(done: readonly Moved[]) {
  const of = (figure: (moved: Moved) => number | null | undefined): Summary | null => {
    const found = done.map(figure).filter((value) => value !== null && value !== undefined);
    return found.length === 0 ? null : summarize(found.map(rounded));
  };
  return {
    downtimeMs: of(({ record }) => record.result?.downtimeMs),
    totalMs: of(({ record }) => record.totalMs),
    beyondMs: of(({ record: { result } }) =>
      result === null || result.stallMs === null || result.downtimeMs === null
        ? null
        : result.stallMs - result.downtimeMs,
    ),
    gapBeyondMs: of(gapBeyond),
    driftMs: of(driftOf),
    clockBoundMs: of(({ record }) => Number(record.result?.clock?.errorBoundNs ?? 0) / 1e6),
    pagesMiB: of(({ record }) => (record.result?.bytes?.pages ?? 0) / 2 ** 20),
  };
}

/** Null where the program reports no gaps. */
function gapBeyond({ job, record }: Moved): number | null {
  const gaps = gapsOf(job);
  return gaps.length === 0 ? null : stallOf(gaps, [0, 1], record) - windowOf(record).downtimeMs;
}

/** Null where the program does not compare its clocks. */
function driftOf({ job, record }: Moved): number | null {
  const drift = driftAcross(parseDrift(job.stdout), 1, windowOf(record).from);
  if (drift === null) return null;
  return Math.max(0, Math.abs(drift.afterMs - drift.beforeMs) - drift.measuredToMs);
}
