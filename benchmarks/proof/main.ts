import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { Cluster } from '../../mpi-tests/support/cluster.ts';
import { leftovers } from '../../mpi-tests/support/leftovers.ts';
import { table } from '../../src/cli/table.ts';
import { type Strategy, strategySchema } from '../../src/migration/record.ts';
import { bringUp, takeDown } from '../../src/testbed/index.ts';
import { describeMachine, load } from '../measure/machine.ts';
import { writeResult } from '../measure/result.ts';
import { programs } from './programs.ts';
import { prove } from './prove.ts';
import { type Row, rowSchema } from './row.ts';

/** What is asked of each program with each strategy. */
const enough = 20;
const stallTargetMs = 20;
const driftTargetMs = 1;

await new Command('proof')
  .description('Moves programs about with every strategy and proves their results right, on a testbed of its own.')
  .option('--strategy <names...>', `of ${strategySchema.options.join(', ')} (default: all)`)
  .option('--programs <names...>', `of ${Object.keys(programs).join(', ')} (default: all)`)
  .option('--moves <n>', `moves of each program with each strategy (default: ${enough})`, wholeNumber, enough)
  .addHelpText(
    'after',
    `
Names may be separated by commas. Rows that were not measured now stay in benchmarks/results/proof.json as they were;
with fewer than ${enough} moves the result goes to proof.quick.json. Exit code 1 where anything is not right.`,
  )
  .showHelpAfterError()
  .action(async ({ strategy, programs: wanted, moves }: { strategy?: string[]; programs?: string[]; moves: number }) =>
    run(choose(strategySchema.options, strategy), choose(Object.keys(programs), wanted), moves),
  )
  .parseAsync();

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError('allowed is a whole number from 1');
  return Number(text);
}

function choose<T extends string>(known: readonly T[], wanted: string[] | undefined): T[] {
  const names = wanted?.flatMap((text) => text.split(',')) ?? known;
  for (const name of names) {
    if (!known.includes(name as T)) throw new InvalidArgumentError(`${name} is none of ${known.join(', ')}`);
  }
  return names as T[];
}

async function run(strategies: Strategy[], names: string[], moves: number): Promise<void> {
  const say = (line: string) => console.error(`proof: ${line}`);
  const started = performance.now();
  const loadBefore = load();
  const testbed = `proof-${process.pid}`;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => void takeDown(testbed).finally(() => process.exit(130)));
  }
  const quick = moves < enough;
  const rows = quick ? [] : earlier();
  const measured: Row[] = [];
  try {
    const cluster = new Cluster(
      await bringUp({ name: testbed, services: true, gromacs: names.includes('gromacs'), progress: say }),
    );
    await cluster.untilReady();
    // What is there before the first job is not left by one.
    for (const one of await leftovers(cluster)) cluster.known.add(one);
    for (const name of names) {
      const program = programs[name];
      if (program === undefined) continue;
      const reference = await program.reference(cluster);
      for (const strategy of strategies) {
        const row = await prove(cluster, { strategy, name, program, reference, moves });
        measured.push(row);
        say(`${strategy}, ${name}: ${row.moves} moves, ${row.wrong.length === 0 ? 'all right' : row.wrong.join('; ')}`);
        // After each, so that what was measured is kept whatever happens to the rest.
        write([...rows.filter((one) => !same(one, measured)), ...measured], { quick, started, loadBefore });
      }
    }
  } finally {
    await takeDown(testbed);
  }
  print(measured);
  if (measured.some(({ wrong }) => wrong.length > 0)) process.exitCode = 1;
}

/** A declaration, which the command above may use before it comes to this line. */
function same(row: Row, others: readonly Row[]): boolean {
  return others.some(({ strategy, program }) => strategy === row.strategy && program === row.program);
}

/** Rows of the last run, whatever it measured. */
function earlier(): Row[] {
  const file = join(import.meta.dirname, '../results/proof.json');
  if (!existsSync(file)) return [];
  const schema = z.object({ data: z.object({ rows: z.array(rowSchema) }) });
  return schema.parse(JSON.parse(readFileSync(file, 'utf8'))).data.rows;
}

function write(
  rows: Row[],
  { quick, started, loadBefore }: { quick: boolean; started: number; loadBefore: number },
): void {
  const bad = rows.filter(({ wrong }) => wrong.length > 0).length;
  const moves = rows.reduce((sum, row) => sum + row.moves, 0);
  const worst = (figure: (row: Row) => number | undefined) => Math.max(0, ...rows.map((row) => figure(row) ?? 0));
  const stall = worst(({ beyondMs }) => beyondMs?.median);
  const drift = worst(({ driftMs }) => driftMs?.max);
  writeResult({
    version: 1,
    benchmark: 'proof',
    measuredAt: new Date().toISOString().slice(0, 10),
    seconds: Math.round((performance.now() - started) / 1000),
    quick,
    machine: describeMachine(),
    loadBefore,
    versions: {},
    targets: [
      {
        what: `results of ${rows.length} programs and strategies after ${moves} moves`,
        wanted: 'all right',
        measured: bad === 0 ? 'all right' : `${bad} not`,
        met: bad === 0,
      },
      {
        what: 'stall beyond the downtime, largest median of a program and strategy',
        wanted: `<= ${stallTargetMs} ms`,
        measured: `${stall.toFixed(1)} ms`,
        met: stall <= stallTargetMs,
      },
      {
        what: 'change of MPI_Wtime across a move, largest of all',
        wanted: `< ${driftTargetMs} ms`,
        measured: `${drift.toFixed(3)} ms`,
        met: drift < driftTargetMs,
      },
    ],
    notes: [
      'Two ranks on two of three nodes; both containers move, in turn. A move counts where the program went on after it.',
      'NPB: every repeat has the values, to the last bit, of a run without moves, and the kernel verified itself. ' +
        'LAMMPS: every thermo line the same to the last bit. GROMACS: every energy, position and velocity.',
    ],
    data: { rows },
  });
}

function print(rows: readonly Row[]): void {
  const header = [
    'STRATEGY',
    'PROGRAM',
    'MOVES',
    'RESULT',
    'DOWNTIME ms',
    'MAX',
    'BEYOND ms',
    'MAX',
    'DRIFT MAX ms',
    's',
  ];
  const ms = (value: number | undefined, digits = 0) => value?.toFixed(digits) ?? '-';
  const cells = rows.map((row) => [
    row.strategy,
    row.program,
    String(row.moves),
    row.wrong.length === 0 ? 'right' : 'WRONG',
    ms(row.downtimeMs?.median),
    ms(row.downtimeMs?.max),
    ms((row.gapBeyondMs ?? row.beyondMs)?.median, 1),
    ms((row.gapBeyondMs ?? row.beyondMs)?.max, 1),
    ms(row.driftMs?.max, 3),
    String(row.seconds),
  ]);
  console.log(table(header, cells));
  for (const { strategy, program, wrong } of rows)
    for (const what of wrong) console.log(`WRONG  ${strategy}, ${program}: ${what}`);
}
