import type { Cluster } from '../mpi-tests/support/cluster.ts';
import { submit } from '../mpi-tests/support/job.ts';
import { layeredImage } from '../mpi-tests/support/layered-image.ts';
import { move } from '../mpi-tests/support/move.ts';
import { table } from '../src/cli/table.ts';
import type { Benchmark, BenchmarkOptions } from './benchmark.ts';
import { setOnNodes } from './cluster/agent-setting.ts';
import { finish } from './cluster/finish.ts';
import type { Plot } from './measure/plot.ts';
import { rounded, type Summary, show, summarize } from './measure/statistics.ts';

const layerMib = 64;
const upperMib = 200;
const program = '/opt/rankshift-tests/bin/memhog --seconds 86400 --mib 32 --step-ms 20';

/** MiB and milliseconds of one way to bring what lacks to the target. */
interface Carried {
  mib: Summary;
  ms: Summary;
}

/** What layers and the upper directory cost: before the freeze, in it, and the whole image by hand. */
export const layers: Benchmark = {
  about: 'a missing layer beside the whole image by tar and ssh; 200 MiB in /tmp, synced before the freeze or in it',
  stateSize: '4g',
  privateImages: true,
  async measure(cluster, options) {
    const images = await measureImages(cluster, options);
    const upper = await measureUpper(cluster, options);
    print(images, upper);
    const ratio = images.ours.ms.median / images.byHand.ms.median;
    const part = upper.yes.downtimeMs.median / upper.no.downtimeMs.median;
    return {
      targets: [
        {
          what: `time until the target has the image, a layer of ${layerMib} MiB lacking, to that of the whole image by tar and ssh`,
          wanted: '< 1',
          measured: ratio.toFixed(2),
          met: ratio < 1,
        },
        {
          what: `downtime with ${upperMib} MiB in /tmp, synced before the freeze to sent in it`,
          wanted: '< 0.5',
          measured: part.toFixed(2),
          met: part < 0.5,
        },
      ],
      notes: [
        'Layer: a new one of noise in each round, which every node but the target has. Time: of `preparing`, with all its other steps; by hand: ' +
          'tar of all layers of the same image over ssh.',
        `Upper directory: rank c1 has written ${upperMib} MiB into /tmp of its root file system and writes a page there each 50 ms.`,
      ],
      data: { images, upper },
      plot: plotOf(images, upper),
    };
  },
};

async function measureImages(cluster: Cluster, { rounds, quick, say }: BenchmarkOptions) {
  const all = { ours: [] as number[][], byHand: [] as number[][] };
  const count = rounds ?? (quick ? 1 : 5);
  for (let round = 1; round <= count; round++) {
    const image = `plus-${round}`;
    await layeredImage(cluster, image, ['ctl', 'n1', 'n2'], layerMib);
    const run = `exec rankshift run --image ${image} -- ${program}`;
    const job = await submit(cluster, run, { nodelist: 'n1,n2' });
    await job.untilPrinted(/"event":"progress"/);
    const { plan, phases } = await move(cluster, job.container(1), { to: 'n3' });
    const bytes = plan?.layers.reduce((sum, layer) => sum + layer.bytes, 0) ?? 0;
    all.ours.push([bytes / 2 ** 20, phases.find(({ name }) => name === 'preparing')?.ms ?? Number.NaN]);
    await finish(job);
    all.byHand.push(await imageByHand(cluster, image));
    say(`layers: ${round} of ${count}`);
  }
  const of = (values: readonly number[][]): Carried => ({
    mib: summarize(values.map(([mib = Number.NaN]) => rounded(mib))),
    ms: summarize(values.map(([, ms = Number.NaN]) => rounded(ms))),
  });
  return { ours: of(all.ours), byHand: of(all.byHand) };
}

/** All layers of an image from n2 to n3, as an admin would; MiB and milliseconds. */
async function imageByHand(cluster: Cluster, image: string): Promise<number[]> {
  const store = '/var/lib/rankshift/images';
  const names = `$(grep -o 'sha256:[0-9a-f]*' ${store}/images/${image}.json | sort -u | sed 's|sha256:|layers/sha256/|')`;
  const existing = `$(for l in ${names}; do [ -d ${store}/$l ] && echo $l; done)`;
  const script = `cd ${store}; ls=${existing}; start=$(date +%s%3N)
    tar -C ${store} --xattrs -cf - $ls | ssh n3 "mkdir /var/lib/rankshift/by-hand && tar -C /var/lib/rankshift/by-hand --xattrs -xf -"
    end=$(date +%s%3N); ssh n3 rm -rf /var/lib/rankshift/by-hand; echo $(tar -cf - $ls | wc -c) $((end - start))`;
  const said = await cluster.output('n2', ['bash', '-euo', 'pipefail', '-c', script], { timeoutMs: 300_000 });
  const [bytes = Number.NaN, ms = Number.NaN] = said.split(' ').map(Number);
  return [bytes / 2 ** 20, ms];
}

interface UpperWay {
  downtimeMs: Summary;
  beforeMib: Summary;
  freezeMib: Summary;
  totalMs: Summary;
}

async function measureUpper(cluster: Cluster, { rounds, quick, say }: BenchmarkOptions) {
  const writer = `if [ "$(hostname)" = c1 ]; then head -c ${upperMib}M /dev/urandom >/tmp/big; touch /tmp/filled
    (i=0; while :; do i=$((i + 1)); printf %08d $i | dd of=/tmp/big bs=1 seek=$((i * 4096)) conv=notrunc 2>/dev/null; sleep 0.05; done) & fi
    exec ${program}`;
  const run = `exec rankshift run -- /bin/sh -c '${writer}'`;
  const ways: { yes?: UpperWay; no?: UpperWay } = {};
  for (const way of ['yes', 'no'] as const) {
    await setOnNodes(cluster, 'UpperSync', { n2: way, n3: way });
    const job = await submit(cluster, run, { nodelist: 'n1,n2' });
    await job.untilPrinted(/"event":"progress"/, 2);
    const records = [];
    const count = rounds ?? (quick ? 1 : 5);
    for (let round = 1; round <= count; round++) {
      records.push(await move(cluster, job.container(1), { to: round % 2 === 1 ? 'n3' : 'n2' }));
      say(`upper directory, synced before: ${way}, ${round} of ${count}`);
    }
    await finish(job);
    const mib = (bytes: number) => rounded(bytes / 2 ** 20);
    ways[way] = {
      downtimeMs: summarize(records.map(({ result }) => result?.downtimeMs ?? Number.NaN)),
      beforeMib: summarize(
        records.map(({ result }) => mib(result?.upper?.passes.reduce((sum, { bytes }) => sum + bytes, 0) ?? 0)),
      ),
      freezeMib: summarize(
        records.map(({ result }) => mib(result?.upper?.final?.bytes ?? result?.bytes?.upper ?? Number.NaN)),
      ),
      totalMs: summarize(records.map(({ totalMs }) => totalMs ?? Number.NaN)),
    };
  }
  const { yes, no } = ways;
  if (yes === undefined || no === undefined) throw new Error('nothing was measured');
  return { yes, no };
}

type Images = Awaited<ReturnType<typeof measureImages>>;
type Upper = Awaited<ReturnType<typeof measureUpper>>;

function print(images: Images, upper: Upper): void {
  const carried = (name: string, { mib, ms }: Carried) => [name, show(mib), show(ms, 0)];
  console.log(
    table(
      ['IMAGE', 'MiB', 'ms'],
      [carried('the layer that lacks', images.ours), carried('tar and ssh, all layers', images.byHand)],
    ),
  );
  const way = (name: string, { downtimeMs, beforeMib, freezeMib, totalMs }: UpperWay) => [
    name,
    show(downtimeMs, 0),
    show(beforeMib),
    show(freezeMib),
    show(totalMs, 0),
  ];
  console.log(
    table(
      ['UPPER DIRECTORY', 'DOWNTIME ms', 'BEFORE MiB', 'IN THE FREEZE MiB', 'TOTAL ms'],
      [way('synced before', upper.yes), way('sent in the freeze', upper.no)],
    ),
  );
}

function plotOf(images: Images, upper: Upper): Plot {
  const point = (x: string, { median, min, max }: Summary) => ({ x, y: median, low: min, high: max });
  const panel = (title: string, label: string, points: ReturnType<typeof point>[]) => ({
    title,
    kind: 'bars' as const,
    x: { label: '' },
    y: { label },
    series: [{ name: label, points }],
  });
  return {
    title: 'Layers and the upper directory',
    panels: [
      panel('image of which a layer lacks', 'time, ms', [
        point('the layer', images.ours.ms),
        point('tar and ssh', images.byHand.ms),
      ]),
      panel(`${upperMib} MiB in /tmp`, 'downtime, ms', [
        point('synced before', upper.yes.downtimeMs),
        point('in the freeze', upper.no.downtimeMs),
      ]),
    ],
  };
}
