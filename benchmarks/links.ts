import type { Cluster } from '../mpi-tests/support/cluster.ts';
import { submitRun } from '../mpi-tests/support/job.ts';
import { move } from '../mpi-tests/support/move.ts';
import { table } from '../src/cli/table.ts';
import type { MigrationRecord } from '../src/migration/record.ts';
import { limitLink } from '../src/testbed/index.ts';
import type { Benchmark, BenchmarkOptions } from './benchmark.ts';
import { finish } from './cluster/finish.ts';
import { largeSecondRank } from './cluster/large-second-rank.ts';
import { type Transfer, transfer } from './links/encryption.ts';
import type { Plot } from './measure/plot.ts';
import { rounded, type Summary, show, summarize } from './measure/statistics.ts';

const largestPart = 1.15;

interface Case {
  name: string;
  mib: number;
  /** Words of a page that differ (memhog): 512 cannot be compressed, 64 is an eighth, 0 is zeros. */
  words: number;
  /** Of the link, as of tc(8); null: none. */
  rate: string | null;
  ways: readonly { name: string; more: readonly string[] }[];
}

const by = (option: string, ...values: string[]) =>
  values.map((value) => ({ name: `${option} ${value}`, more: [`--${option}`, value] }));
const asItIs = [{ name: 'auto', more: [] }];

/** The first decides. */
const cases: readonly Case[] = [
  { name: '1 GiB over 1 Gbit/s', mib: 1024, words: 512, rate: '1gbit', ways: asItIs },
  {
    name: '128 MiB, an eighth when packed, over 100 Mbit/s',
    mib: 128,
    words: 64,
    rate: '100mbit',
    ways: by('compression', 'none', 'lz4', 'zstd', 'auto'),
  },
  { name: '512 MiB of noise, no limit', mib: 512, words: 512, rate: null, ways: by('streams', '1', '2', '4', 'auto') },
  { name: '512 MiB of zeros, no limit', mib: 512, words: 0, rate: null, ways: asItIs },
];

interface Way {
  name: string;
  downtimeMs: Summary;
  totalMs: Summary;
  /** Of pages, and what they became on the wire. */
  pagesMiB: Summary;
  wireMiB: Summary;
  /** What the plan chose, of the last move. */
  chosen: string;
}

/** Total time over limited links, compression, connections, empty pages, and what encryption costs. */
export const links: Benchmark = {
  about: 'total time over limited links, compression, connections, zero pages; what encryption costs',
  stateSize: '8g',
  async measure(cluster, options) {
    const results: { name: string; ways: Way[] }[] = [];
    for (const one of cases) results.push({ name: one.name, ways: await measureCase(cluster, one, options) });
    const encryption = await measureEncryption(cluster, options);
    print(results, encryption);
    const [decisive] = cases;
    const total = results[0]?.ways[0]?.totalMs.median ?? Number.NaN;
    const bound = ((decisive?.mib ?? Number.NaN) * 2 ** 20 * 8) / 1e9;
    const part = total / 1000 / bound;
    return {
      targets: [
        {
          what: `${decisive?.name}: median total time to memory over bandwidth (${bound.toFixed(2)} s)`,
          wanted: `<= ${largestPart}`,
          measured: part.toFixed(3),
          met: part <= largestPart,
        },
      ],
      notes: [
        'Total: from the request to the last thing removed. Limits are token buckets at both nodes, frames with all their headers. ' +
          'Pages are the bytes of memory that went, wire what they became.',
        'Encryption: 256 MiB over one connection by rankshift-bulk (TLS 1.3), and by a program that does nothing to the bytes; ' +
          'processor time is that of both ends.',
      ],
      data: { results, encryption },
      plot: plotOf(results),
    };
  },
};

async function measureCase(
  cluster: Cluster,
  { name, mib, words, rate, ways }: Case,
  { rounds, quick, say }: BenchmarkOptions,
): Promise<Way[]> {
  const job = await submitRun(cluster, largeSecondRank(mib, { seconds: 86_400, words }), { nodelist: 'n1,n2' });
  await job.untilPrinted(/"event":"progress"/);
  const records = new Map<string, MigrationRecord[]>(ways.map((way) => [way.name, []]));
  const limit = async (to: string | undefined) => {
    for (const node of ['n2', 'n3']) await limitLink(cluster.testbed.state, node, to);
  };
  let at = 'n2';
  await limit(rate ?? undefined);
  try {
    const count = rounds ?? (quick ? 1 : 5);
    for (let round = 1; round <= count; round++) {
      for (const way of ways) {
        at = at === 'n2' ? 'n3' : 'n2';
        records.get(way.name)?.push(await move(cluster, job.container(1), { to: at, more: way.more }));
      }
      say(`${name}: ${round} of ${count}`);
    }
  } finally {
    await limit(undefined);
  }
  await finish(job);
  return [...records].map(([way, moved]) => wayOf(way, moved));
}

function wayOf(name: string, records: readonly MigrationRecord[]): Way {
  const of = (pick: (record: MigrationRecord) => number | null | undefined) =>
    summarize(records.map((record) => rounded(pick(record) ?? Number.NaN)));
  const pages = ({ result }: MigrationRecord) => {
    const rounds = result?.copy?.rounds.reduce((sum, { bytes }) => sum + bytes, 0) ?? 0;
    return Math.max(rounds, result?.bytes?.pages ?? 0) / 2 ** 20;
  };
  const wire = records.at(-1)?.plan?.wire;
  return {
    name,
    downtimeMs: of(({ result }) => result?.downtimeMs),
    totalMs: of(({ totalMs }) => totalMs),
    pagesMiB: of(pages),
    wireMiB: of(({ result }) => (result?.bytes?.wire ?? Number.NaN) / 2 ** 20),
    chosen: wire == null ? '-' : `${wire.compression}, ${wire.streams}`,
  };
}

async function measureEncryption(cluster: Cluster, { rounds, quick, say }: BenchmarkOptions) {
  const kinds = ['encrypted', 'plain'] as const;
  const all: Record<(typeof kinds)[number], Transfer[]> = { encrypted: [], plain: [] };
  const count = rounds ?? (quick ? 1 : 7);
  for (let round = 1; round <= count; round++)
    for (const kind of kinds) all[kind].push(await transfer(cluster, kind, 'n2', 'n3'));
  say('encryption');
  const of = (kind: (typeof kinds)[number]) => ({
    gbitPerSecond: summarize(all[kind].map(({ bytesPerSecond }) => (bytesPerSecond * 8) / 1e9)),
    processorSecondsPerGiB: summarize(all[kind].map(({ processorSeconds }) => processorSeconds)),
  });
  return { encrypted: of('encrypted'), plain: of('plain') };
}

function print(
  results: readonly { name: string; ways: readonly Way[] }[],
  encryption: Awaited<ReturnType<typeof measureEncryption>>,
): void {
  const header = ['RANK AND LINK', 'WAY', 'CHOSEN', 'TOTAL ms', 'DOWNTIME ms', 'PAGES MiB', 'WIRE MiB'];
  const rows = results.flatMap(({ name, ways }) =>
    ways.map((way, index) => [
      index === 0 ? name : '',
      way.name,
      way.chosen,
      show(way.totalMs, 0),
      show(way.downtimeMs, 0),
      show(way.pagesMiB, 0),
      show(way.wireMiB),
    ]),
  );
  console.log(table(header, rows));
  const streams = Object.entries(encryption).map(([kind, { gbitPerSecond, processorSecondsPerGiB }]) => [
    kind,
    show(gbitPerSecond),
    show(processorSecondsPerGiB, 2),
  ]);
  console.log(table(['ONE CONNECTION', 'Gbit/s', 'PROCESSOR s/GiB'], streams));
}

function plotOf(results: readonly { name: string; ways: readonly Way[] }[]): Plot {
  return {
    title: 'Total time of a move',
    panels: results
      .filter(({ ways }) => ways.length > 1)
      .map(({ name, ways }) => ({
        title: name,
        kind: 'bars',
        x: { label: '' },
        y: { label: 'total, ms' },
        series: [
          {
            name: 'total',
            points: ways.map(({ name: x, totalMs: { median, min, max } }) => ({ x, y: median, low: min, high: max })),
          },
        ],
      })),
  };
}
