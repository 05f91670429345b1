import { table } from '../src/cli/table.ts';
import type { ComputingBenchmark } from './benchmark.ts';
import type { Fairness } from './fleet/fairness.ts';
import type { Shape } from './fleet/shape.ts';
import { type Simulated, simulate } from './fleet/simulate.ts';
import type { Plot } from './measure/plot.ts';
import { summarize } from './measure/statistics.ts';

const wanted = { movesPerSecond: 500, firstCommandMs: 100, passedOver: 4, slowest: 2 };

interface Scenario extends Omit<Shape, 'directory' | 'redisPort'> {
  name: string;
}
interface Row extends Simulated {
  name: string;
  nodes: number;
  containers: number;
}

const common = {
  containersPerJob: 8,
  slower: 1,
  patience: 1,
  movesAtOnce: 1000,
  rate: null,
  killAfter: null,
  restMs: 3000,
};
const thousand = { ...common, nodes: 1000, containers: 10_000, leaving: 100, deadlineMs: 600_000 };
const scenarios: Scenario[] = [
  { ...thousand, name: 'evacuation', by: 'evacuation' },
  { ...thousand, name: 'controller killed', by: 'evacuation', killAfter: 300 },
  {
    ...{ ...thousand, name: 'large evacuation', by: 'evacuation' },
    ...{ nodes: 10_000, containers: 100_000, leaving: 1000, patience: 10, deadlineMs: 900_000 },
  },
];
const requests: Scenario = { ...thousand, name: 'requests', by: 'moves', leaving: 300 };

/** How many moves one controller and one Redis drive, of whole fleets whose agents do not touch a container. */
export const fleet: ComputingBenchmark = {
  about: 'evacuations of 1,000 and 10,000 nodes with simulated agents: moves per second, cost of a move, no loss',
  async compute({ rounds, quick, say }) {
    const size = quick ? smaller : (scenario: Scenario) => scenario;
    const rows: Row[] = [];
    const run = async (scenario: Scenario) => {
      const { name, nodes, containers } = scenario;
      const row = { name, nodes, containers, ...(await simulate(scenario, (line) => say(`${name}: ${line}`))) };
      rows.push(row);
      say(`${name}: ${row.movesPerSecond.toFixed(0)} moves/s`);
      return row;
    };
    for (const scenario of scenarios) await run(size(scenario));
    for (let round = 0; round < (rounds ?? (quick ? 1 : 5)); round += 1) {
      const { movesPerSecond } = await run(size(requests));
      await run(size({ ...requests, name: 'half of that', rate: movesPerSecond / 2 }));
    }
    const names = [...new Set(rows.map(({ name }) => name))];
    console.log(
      table(
        heads,
        names.map((name) => rowOf(rows.filter((row) => row.name === name))),
      ),
    );
    const of = (name: string) => rows.filter((row) => row.name === name);
    const core = summarize(of('requests').map(({ controller }) => 1000 / controller.cpuMsPerMove)).median;
    const p99 = summarize(of('half of that').map(({ firstCommandMs }) => firstCommandMs?.p99 ?? 0)).median;
    const wrong = rows.flatMap((row) => row.wrong);
    const unmoved = rows.reduce((sum, row) => sum + row.unmoved, 0);
    const over = rows.reduce((sum, { overLimit }) => sum + overLimit, 0);
    const limited = rows.filter(({ fairness }) => fairness !== null).map(({ fairness }) => fairness as Fairness);
    const passed = Math.max(0, ...limited.map(({ passedOver }) => passedOver));
    const slowest = Math.max(0, ...limited.map((one) => one.slowest));
    return {
      targets: [
        {
          what: 'moves per second that one core of a controller drives, median',
          ...{ wanted: `>= ${wanted.movesPerSecond}`, measured: core.toFixed(0), met: core >= wanted.movesPerSecond },
        },
        {
          what: 'from the request to the first command of an agent at half of the load, p99, median of the rounds',
          ...{
            wanted: `< ${wanted.firstCommandMs} ms`,
            measured: `${p99.toFixed(0)} ms`,
            met: p99 < wanted.firstCommandMs,
          },
        },
        {
          what: 'containers that ran on two nodes, or elsewhere than their record says',
          ...{ wanted: '0', measured: String(wrong.length), met: wrong.length === 0 },
        },
        {
          what: 'times that a node saw more moves at once than the limits allow, at any instant',
          ...{ wanted: '0', measured: String(over), met: over === 0 },
        },
        {
          what: 'starvation: later requests out of the same node that were begun before one, most; limits as by default',
          ...{ wanted: `<= ${wanted.passedOver}`, measured: String(passed), met: passed <= wanted.passedOver },
        },
        {
          what: 'starvation: wait of the last move of the slowest node, against that of the median node',
          ...{ wanted: `<= ${wanted.slowest}`, measured: slowest.toFixed(2), met: slowest <= wanted.slowest },
        },
        {
          what: 'containers that were asked to move and did not, also where the controller was killed',
          ...{ wanted: '0', measured: String(unmoved), met: unmoved === 0 },
        },
      ],
      notes: [
        'Controller, Redis (appendfsync always) and all agents share the processors of this machine, so moves per second say what the machine does; ms of the processor for each move say what a part of it costs by itself.',
        'Agents: the real queues, signatures, heartbeats, answers and the commit record; instead of CRIU, runc and the network they wait as long as moves of 64 MiB took in the benchmark `downtime`.',
        'Starvation, of evacuations: their moves have the places that MaxMovesOut, MaxMovesIn and MaxMovesPerLink give them (2), and each node that is emptied has equally many. Places ahead and to copy are twice MaxMovesOut together: no more later requests than that may be begun out of a node before one that waits there.',
        'Limits are counted by the agents, which read them from the same file as the controller.',
        'Of 10,000 nodes with 100,000 containers 1,000 are emptied: 10,000 moves. Their agents are one process beside the controller and Redis, so deadlines and heartbeats have ten times as long there.',
        'Commands of Redis count those that scripts run; what the fleet asks at rest is taken off.',
      ],
      data: { rows },
      plot: plotOf(names.map((name) => [name, of(name)])),
    };
  },
};

const heads = [
  ...['FLEET', 'NODES', 'CONTAINERS', 'MOVES', 'MOVES/s', 'FIRST COMMAND p99 ms', 'CONTROLLER ms/MOVE', 'MiB'],
  ...['REDIS ms/MOVE', 'COMMANDS/MOVE', 'MiB', 'OUT', 'IN', 'OVER LIMIT', 'PASSED', 'SLOWEST', 'WRONG', 'UNMOVED'],
];

/** One line for the rounds of a scenario: medians, of limits and faults the worst. */
function rowOf(rounds: Row[]): string[] {
  const median = (value: (row: Row) => number, digits = 0) => summarize(rounds.map(value)).median.toFixed(digits);
  const [first] = rounds;
  const waits = rounds.flatMap(({ firstCommandMs }) => firstCommandMs?.p99 ?? []);
  const most = (value: (row: Row) => number) => String(Math.max(...rounds.map(value)));
  return [
    ...[first?.name ?? '', String(first?.nodes), String(first?.containers), String(first?.moves)],
    ...[median((row) => row.movesPerSecond), waits.length === 0 ? '-' : summarize(waits).median.toFixed(0)],
    ...[median((row) => row.controller.cpuMsPerMove, 1), median((row) => row.controller.rssMiB)],
    ...[median((row) => row.redis.cpuMsPerMove, 1), median((row) => row.redis.commandsPerMove)],
    ...[median((row) => row.redis.usedMiB), most((row) => row.mostOut), most((row) => row.mostIn)],
    ...[most((row) => row.overLimit)],
    ...[first?.fairness == null ? '-' : most((row) => row.fairness?.passedOver ?? 0)],
    ...[first?.fairness == null ? '-' : median((row) => row.fairness?.slowest ?? 0, 2)],
    ...[most((row) => row.wrong.length), most((row) => row.unmoved)],
  ];
}

function plotOf(named: [name: string, rows: Row[]][]): Plot {
  const median = (rows: Row[], value: (row: Row) => number) => summarize(rows.map(value)).median;
  const parts: [string, (row: Row) => number][] = [
    ['controller', (row) => row.controller.cpuMsPerMove],
    ['Redis', (row) => row.redis.cpuMsPerMove],
    ['all agents', (row) => row.agents.cpuMsPerMove],
  ];
  return {
    title: 'Moves of a whole fleet',
    panels: [
      {
        ...{ title: 'as fast as this machine goes', kind: 'bars', x: { label: 'fleet' } },
        y: { label: 'moves per second' },
        series: [
          { name: 'moves', points: named.map(([x, rows]) => ({ x, y: median(rows, (row) => row.movesPerSecond) })) },
        ],
      },
      {
        ...{ title: 'what a move costs', kind: 'stacked', x: { label: 'fleet' }, y: { label: 'processor, ms' } },
        series: parts.map(([name, value]) => ({
          name,
          points: named.map(([x, rows]) => ({ x, y: median(rows, value) })),
        })),
      },
    ],
  };
}

function smaller(scenario: Scenario): Scenario {
  const { nodes, containers, leaving, killAfter } = scenario;
  const tenth = (value: number) => Math.ceil(value / 10);
  const kill = killAfter === null ? null : tenth(killAfter);
  return { ...scenario, nodes: tenth(nodes), containers: tenth(containers), leaving: tenth(leaving), killAfter: kill };
}
