import type { Cluster } from '../mpi-tests/support/cluster.ts';
import { groups, installIntoSlurm, showGroup } from '../mpi-tests/support/evacuation.ts';
import { type Job, submitRun } from '../mpi-tests/support/job.ts';
import { containers, move } from '../mpi-tests/support/move.ts';
import { until } from '../mpi-tests/support/until.ts';
import { table } from '../src/cli/table.ts';
import type { Benchmark } from './benchmark.ts';
import { largeSecondRank } from './cluster/large-second-rank.ts';
import { rounded, type Summary, show, summarize } from './measure/statistics.ts';

const most = 1.2;
const count = 4;
const megabytes = 256;

interface Sample {
  /** From the drain until the evacuation was asked for: Slurm's triggers and our look at the states. */
  triggerMs: number;
  /** From then until no rank container was on the node any more. */
  emptyMs: number;
  /** From the first move's request to the last one's end. */
  makespanMs: number;
  /** The same of four moves that are asked for one by one, at once, with their target named. */
  byHandMs: number;
  origin: string;
}

/** A node with four containers is drained in Slurm; how long until it is empty. */
export const evacuate: Benchmark = {
  about: 'a drained node with four containers: until it is empty, beside the makespan of their moves',
  cpusPerNode: 8,
  async measure(cluster, { rounds, quick, say }) {
    await installIntoSlurm(cluster, { HoldDownMs: '1000', NodeWatchMs: '2000' });
    const jobs: Job[] = [];
    const program = largeSecondRank(quick ? 16 : megabytes, { seconds: 86_400, stepMs: 100 });
    for (let job = 0; job < count; job += 1) jobs.push(await submitRun(cluster, program, { nodelist: 'n[1-2]' }));
    await until('all containers run', async () => {
      const all = await containers(cluster, 'root');
      return all.length === 2 * count && all.every(({ state }) => state === 'running');
    });
    for (const job of jobs) await job.untilPrinted(/"event":"progress"/, 2);
    // The first moves of a cluster take longer than all others.
    for (const to of ['n3', 'n2']) await moveAll(cluster, jobs, to);
    const samples: Sample[] = [];
    for (let round = 0; round < (rounds ?? (quick ? 1 : 5)); round += 1) {
      const drained = await drainOnce(cluster);
      await cluster.output('ctl', ['scontrol', 'update', 'NodeName=n2', 'State=RESUME']);
      // Slurm marks it as not responding until it has asked it.
      await until('n2 responds', async () => {
        const state = await cluster.output('ctl', ['sinfo', '--noheader', '--nodes=n2', '--format=%T']);
        return !state.includes('*');
      });
      await cluster.output('ctl', ['rankshift', 'return', 'n2', '--wait'], { timeoutMs: 300_000 });
      const byHandMs = await moveAll(cluster, jobs, 'n3');
      await moveAll(cluster, jobs, 'n2');
      samples.push({ ...drained, byHandMs });
      say(`round ${round + 1}: ${JSON.stringify(samples.at(-1))}`);
    }
    const trigger = summarize(samples.map(({ triggerMs }) => triggerMs));
    const empty = summarize(samples.map(({ emptyMs }) => emptyMs));
    const makespan = summarize(samples.map(({ makespanMs }) => makespanMs));
    const byHand = summarize(samples.map(({ byHandMs }) => byHandMs));
    const ratio = summarize(samples.map(({ emptyMs, makespanMs }) => rounded(emptyMs / makespanMs)));
    const peer = summarize(samples.map(({ emptyMs, byHandMs }) => rounded(emptyMs / byHandMs)));
    const rows = [
      ['drain to request (Slurm triggers, look at states), ms', show(trigger), String(trigger.max)],
      ['request to empty, ms', show(empty), String(empty.max)],
      ['makespan of its moves, ms', show(makespan), String(makespan.max)],
      ['makespan of the same moves by hand, ms', show(byHand), String(byHand.max)],
      ['empty / makespan', ratio.median.toFixed(2), ratio.max.toFixed(2)],
      ['empty / by hand', peer.median.toFixed(2), peer.max.toFixed(2)],
    ];
    console.log(table(['DRAIN TO EMPTY', 'MEDIAN', 'MAX'], rows));
    return {
      targets: [
        {
          what: 'request to empty, against the makespan of the moves, median',
          wanted: `<= ${most}`,
          measured: ratio.median.toFixed(2),
          met: ratio.median <= most,
        },
        {
          what: 'request to empty, against four moves asked for by hand at once, median',
          wanted: `<= ${most}`,
          measured: peer.median.toFixed(2),
          met: peer.median <= most,
        },
      ],
      notes: [
        `${count} jobs of two ranks, ${quick ? 16 : megabytes} MiB each; those on n2 go to n3. The look at states is made every 2 s here (default: 5 s).`,
        'Makespan: from the request of the first of the four migrations to the end of the last. By hand: the same containers, in the same round, by four rankshift migrate at once.',
      ],
      data: { samples },
      plot: {
        title: 'A drained node with four containers',
        panels: [
          {
            kind: 'bars',
            x: { label: '' },
            y: { label: 'ms' },
            series: [
              {
                name: 'median, least and most',
                points: [
                  point('drain to request', trigger),
                  point('request to empty', empty),
                  point('makespan', makespan),
                  point('by hand', byHand),
                ],
              },
            ],
          },
        ],
      },
    };
  },
};

const point = (x: string, { median, min, max }: Summary) => ({ x, y: median, low: min, high: max });

/** The second containers of all jobs, each by a request of its own; from the first request to the last end. */
async function moveAll(cluster: Cluster, jobs: readonly Job[], to: string): Promise<number> {
  const moves = await Promise.all(jobs.map((job) => move(cluster, job.container(1), { to, user: 'root' })));
  return Math.max(...moves.map(({ endedAt }) => endedAt ?? 0)) - Math.min(...moves.map(({ createdAt }) => createdAt));
}

async function drainOnce(cluster: Cluster): Promise<Omit<Sample, 'byHandMs'>> {
  const before = new Set((await groups(cluster)).map(({ id }) => id));
  const from = Date.now();
  await cluster.output('ctl', ['scontrol', 'update', 'NodeName=n2', 'State=DRAIN', 'Reason=bench']);
  const { id } = await until(
    'n2 is emptied',
    async () => (await groups(cluster)).find((group) => !before.has(group.id) && group.state !== 'active'),
    { timeoutMs: 300_000, pollMs: 250 },
  );
  const { group, migrations } = await showGroup(cluster, id);
  if (group.state !== 'completed') throw new Error(`${id}: ${JSON.stringify(group.members)}`);
  const moves = migrations.filter(({ state }) => state === 'completed');
  const empty = Math.max(...moves.map(({ endedAt }) => endedAt ?? 0));
  // The group is written when its containers were looked at and placed: that is our time, too.
  const askedAt = group.askedAt ?? group.createdAt;
  return {
    triggerMs: askedAt - from,
    emptyMs: empty - askedAt,
    makespanMs: empty - Math.min(...moves.map(({ createdAt }) => createdAt)),
    origin: group.origin,
  };
}
