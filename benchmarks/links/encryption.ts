import { randomBytes } from 'node:crypto';
import type { Cluster } from '../../mpi-tests/support/cluster.ts';
import { until } from '../../mpi-tests/support/until.ts';

import { nodeOf } from '../../src/testbed/state.ts';

/** Where the testbed mounts the checkout. */
const checkoutInNode = '/opt/rankshift';
/** Of 256 KiB, the most that rankshift-bulk sends in a measurement. */
const pieces = 1024;
export const transferBytes = pieces * 256 * 1024;
const port = 7501;

export interface Transfer {
  bytesPerSecond: number;
  /** Of both ends, per GiB. */
  processorSeconds: number;
}

/** One transfer of 256 MiB between two nodes: as memory goes (TLS 1.3, one connection), or with nothing done to it. */
export async function transfer(
  cluster: Cluster,
  kind: 'encrypted' | 'plain',
  from: string,
  to: string,
): Promise<Transfer> {
  const { state } = cluster.testbed;
  const [source, target] = [nodeOf(state, from).address, nodeOf(state, to).address];
  const key = randomBytes(32).toString('hex');
  const bulk = `${checkoutInNode}/build/bin/rankshift-bulk`;
  const plain = `${checkoutInNode}/benchmarks/links/plain`;
  const ends =
    kind === 'plain'
      ? { sink: [plain, 'sink', port], load: [plain, 'load', target, port, pieces] }
      : { sink: [bulk, 'sink', target, port, port, source], load: [bulk, 'load', target, port, 60_000, pieces] };
  const taking = timed(cluster, to, ends.sink, `${key}\n`);
  await until('the sink listens', async () => {
    const { stdout } = await cluster.exec(to, ['ss', '-Hltn', `sport = :${port}`]);
    return stdout.trim() === '' ? undefined : true;
  });
  const sent = await timed(cluster, from, ends.load, `${key} none 1\n`);
  const taken = await taking;
  return {
    bytesPerSecond: transferBytes / sent.real,
    processorSeconds: ((sent.processor + taken.processor) * 2 ** 30) / transferBytes,
  };
}

async function timed(cluster: Cluster, node: string, argv: readonly (string | number)[], input: string) {
  // The input stays open: rankshift-bulk ends without it.
  const script = 'TIMEFORMAT="%R %U %S"; exec 3< <(echo "$0"; sleep 60); time "$@" <&3 >/dev/null; kill $!';
  const { stderr } = await cluster.exec(node, ['bash', '-c', script, input.trim(), ...argv.map(String)]);
  const [real = Number.NaN, user = Number.NaN, system = Number.NaN] = (stderr.trim().split('\n').at(-1) ?? '')
    .split(' ')
    .map(Number);
  if (!Number.isFinite(real + user + system)) throw new Error(`${argv.join(' ')}: ${stderr}`);
  return { real, processor: user + system };
}
