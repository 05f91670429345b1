import { z } from 'zod';
import { submitRun } from '../mpi-tests/support/job.ts';
import { table } from '../src/cli/table.ts';
import type { Benchmark } from './benchmark.ts';
import { show, summarize } from './measure/statistics.ts';

const targetPercent = 1;
const lineSchema = z.object({ pairs: z.number(), ratio: z.number(), throughUs: z.number(), directUs: z.number() });

const images = [
  { image: 'mpi', title: 'Open MPI' },
  { image: 'mpich', title: 'MPICH' },
] as const;

/** What the MPI shim costs a message. */
export const shim: Benchmark = {
  about: 'ping-pong of 8 bytes with and without the MPI shim, Open MPI and MPICH',
  async measure(cluster, { rounds, quick, say }) {
    const count = rounds ?? (quick ? 2 : 7);
    const seconds = quick ? 2 : 6;
    const measured = images.flatMap(({ image, title }) =>
      [true, false].map((preloaded) => ({ image, title, preloaded, rows: [] as z.infer<typeof lineSchema>[] })),
    );
    for (let round = 0; round < count; round++) {
      // The other order each time: what drifts meets both alike.
      for (const one of round % 2 === 0 ? measured : measured.toReversed()) {
        const { image, title, preloaded, rows } = one;
        const program = `/opt/rankshift-tests/bin/through --seconds ${seconds}`;
        const run = `--image ${image}${preloaded ? '' : ' --no-shim'}`;
        const job = await submitRun(cluster, program, { run });
        const end = await job.untilEnded();
        const line = job.lines(/"event":"through"/)[0];
        if (end.state !== 'COMPLETED' || line === undefined) throw new Error(`job ${job.id}: ${job.all.slice(-2000)}`);
        rows.push(lineSchema.parse(JSON.parse(line)));
        say(`round ${round + 1} of ${count}: ${title}, ${preloaded ? 'with' : 'without'} the shim: ${line}`);
      }
    }
    const summaries = measured.map(({ title, preloaded, rows }) => ({
      title,
      preloaded,
      overheadPercent: summarize(rows.map(({ ratio }) => (ratio - 1) * 100)),
      throughUs: summarize(rows.map(({ throughUs }) => throughUs)),
      directUs: summarize(rows.map(({ directUs }) => directUs)),
    }));
    const lines = summaries.map(({ title, preloaded, overheadPercent, throughUs, directUs }) => [
      title,
      preloaded ? 'with' : 'without',
      show(throughUs, 2),
      show(directUs, 2),
      show(overheadPercent, 2),
    ]);
    console.log(table(['MPI', 'SHIM', 'MPI_ us', 'PMPI_ us', 'DIFFERENCE %'], lines));
    return {
      targets: summaries
        .filter(({ preloaded }) => preloaded)
        .map(({ title, overheadPercent }) => ({
          what: `overhead of the shim on a ping-pong of 8 bytes, ${title}`,
          wanted: `< ${targetPercent} %`,
          measured: `${overheadPercent.median.toFixed(2)} %`,
          met: overheadPercent.median < targetPercent,
        })),
      notes: [
        `${count} jobs of ${seconds} s each, two ranks on two nodes of the testbed; round trips, median and half the quartiles' distance over the jobs.`,
        'MPI_ and PMPI_ alternate in blocks of 200 round trips in the same processes: PMPI_ goes past the shim.',
        'Without the shim both are the same function: that difference is the error of the method.',
      ],
      data: { rounds: count, seconds, measured },
      plot: {
        title: 'A ping-pong of 8 bytes through the MPI shim',
        panels: [
          {
            kind: 'bars',
            x: { label: '' },
            y: { label: 'MPI_ against PMPI_, %' },
            limits: [{ name: 'target', y: targetPercent }],
            series: [true, false].map((preloaded) => ({
              name: preloaded ? 'with the shim' : 'without',
              points: summaries
                .filter((one) => one.preloaded === preloaded)
                .map(({ title, overheadPercent: { median, min, max } }) => ({
                  ...{ x: title, y: median, low: min, high: max },
                })),
            })),
          },
        ],
      },
    };
  },
};
