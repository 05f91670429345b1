import { table } from '../src/cli/table.ts';
import { type PlacementInput, type PlacementNode, place } from '../src/migration/placement.ts';
import type { ComputingBenchmark } from './benchmark.ts';
import { rounded, type Summary, show, summarize } from './measure/statistics.ts';

const targetMs = 2000;
const gib = 1024 ** 3;
const perSwitch = 32;

interface Fleet {
  name: string;
  nodes: number;
  /** The first so many are emptied. */
  leaving: number;
  containers: number;
  /** GiB of memory of a node. */
  memory: number;
  /** Without it every node is as near as every other. */
  switches: boolean;
}

const fleets: Fleet[] = [
  { name: 'room for all', nodes: 20_000, leaving: 10_000, containers: 100_000, memory: 256, switches: true },
  { name: 'no topology', nodes: 20_000, leaving: 10_000, containers: 100_000, memory: 256, switches: false },
  { name: 'room for half', nodes: 20_000, leaving: 14_000, containers: 100_000, memory: 96, switches: true },
  { name: 'a tenth leaves', nodes: 10_000, leaving: 1_000, containers: 10_000, memory: 256, switches: true },
];

/** How long the placement of many containers takes, without their moves. */
export const planner: ComputingBenchmark = {
  about: 'placement of 100,000 containers that leave their nodes',
  async compute({ rounds, quick, say }) {
    const data = [];
    for (const whole of fleets) {
      const fleet = quick ? smaller(whole) : whole;
      const input = fleetOf(fleet);
      const times: number[] = [];
      let placed = 0;
      for (let round = 0; round < (rounds ?? (quick ? 2 : 7)); round += 1) {
        const started = performance.now();
        placed = place(input).filter(({ to }) => to !== null).length;
        times.push(rounded(performance.now() - started));
      }
      say(`${fleet.name}: ${placed} of ${input.demands.length} placed`);
      data.push({ ...fleet, containers: input.demands.length, placed, ms: summarize(times), times });
    }
    console.log(table(['FLEET', 'NODES', 'LEAVING', 'CONTAINERS', 'PLACED', 'MEDIAN ms', 'MAX ms'], data.map(row)));
    return {
      targets: data.map(({ name, ms }) => ({
        what: `${name}: time to place, median`,
        wanted: `< ${targetMs} ms`,
        measured: `${ms.median.toFixed(0)} ms`,
        met: ms.median < targetMs,
      })),
      notes: [
        'Nodes of 64 CPUs, 32 at a switch, two kinds of CPU, a third of them with other work; containers of 1 to 8 CPUs and 1 to 16 GiB, of jobs with 8.',
        'One process on one core; the same fleet each time.',
      ],
      data: { fleets: data },
      plot: {
        title: 'Placement of containers that leave their nodes',
        panels: [
          {
            kind: 'bars',
            x: { label: '' },
            y: { label: 'time, ms' },
            series: [
              {
                name: 'median, least and most',
                points: data.map(({ name, ms }) => ({ x: name, y: ms.median, low: ms.min, high: ms.max })),
              },
            ],
            limits: [{ name: 'target', y: targetMs }],
          },
        ],
      },
    };
  },
};

function row(fleet: Fleet & { placed: number; ms: Summary }): string[] {
  const { name, nodes, leaving, containers, placed, ms } = fleet;
  return [name, ...[nodes, leaving, containers, placed].map(String), show(ms), ms.max.toFixed(0)];
}

function smaller(fleet: Fleet): Fleet {
  const tenth = (value: number) => value / 10;
  return { ...fleet, nodes: tenth(fleet.nodes), leaving: tenth(fleet.leaving), containers: tenth(fleet.containers) };
}

/** A fleet that is the same each time: numbers from a small generator (Park and Miller). */
function fleetOf({ nodes, leaving, containers, memory, switches }: Fleet): PlacementInput {
  let seed = 42;
  const random = (below: number) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  const kinds = [
    ['avx', 'avx2', 'sse2'],
    ['avx', 'avx2', 'avx512f', 'sse2'],
  ];
  const all: PlacementNode[] = Array.from({ length: nodes }, (_, index) => ({
    name: `n${index}`,
    barred: index < leaving ? 'being emptied' : null,
    memoryFreeBytes: memory * gib,
    cpusFree: random(3) === 0 ? random(64) : 64,
    cpuFlags: kinds[Math.floor(index / 128) % 2] ?? [],
    switches: switches
      ? [`leaf${Math.floor(index / perSwitch)}`, `row${Math.floor(index / perSwitch / 16)}`, 'core']
      : [],
  }));
  const present = new Map<number, Map<string, number>>();
  const demands = Array.from({ length: containers }, (_, index) => {
    const job = 1 + Math.floor(index / 8);
    const from = `n${index % leaving}`;
    const ofJob = present.get(job) ?? new Map<string, number>();
    present.set(job, ofJob.set(from, (ofJob.get(from) ?? 0) + 1));
    const memoryBytes = gib + random(15 * 1024) * 1_048_576;
    return { container: `${job}.${index % 8}`, job, from, memoryBytes, cpus: 1 + random(8) };
  });
  return { nodes: all, demands, present };
}
