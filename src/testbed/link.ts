import { RankshiftError } from '../errors.ts';
import { run } from '../process/run.ts';
import { execInNode } from './exec.ts';
import { testbedPaths } from './paths.ts';
import { nodeOf, type TestbedState } from './state.ts';

const table = 'rankshift-cut';

/** By its path: an npm package brings another program of that name into node_modules/.bin. */
const nftProgram = '/usr/sbin/nft';

/**
 * Cuts the link between two nodes: the bridge drops every frame between them, in both directions and at once, as a
 * pulled cable would; neither node is told. Undone by healLink, or with the testbed.
 * @throws RankshiftError E_UNKNOWN_NODE
 */
export async function cutLink(state: TestbedState, a: string, b: string): Promise<void> {
  const chain = chainOf(state, a, b);
  const [first, second] = [nodeOf(state, a).mac, nodeOf(state, b).mac];
  await nft(state, [
    `add table bridge ${table}`,
    `add chain bridge ${table} ${chain} { type filter hook forward priority 0; }`,
    `flush chain bridge ${table} ${chain}`,
    `add rule bridge ${table} ${chain} ether saddr ${first} ether daddr ${second} drop`,
    `add rule bridge ${table} ${chain} ether saddr ${second} ether daddr ${first} drop`,
  ]);
}

/** Heals what cutLink cut; fine where nothing is cut. */
export async function healLink(state: TestbedState, a: string, b: string): Promise<void> {
  const chain = chainOf(state, a, b);
  await nft(state, [
    // Adding first makes the deletion succeed where there is nothing.
    `add table bridge ${table}`,
    `add chain bridge ${table} ${chain}`,
    `flush chain bridge ${table} ${chain}`,
    `delete chain bridge ${table} ${chain}`,
  ]);
}

/**
 * Rate of the link of a node in both directions, as of tc(8) (`1gbit`, `200mbit`), and delay of what it sends (`25ms`; by
 * netem, which only the kernel of a virtual machine has for certain); undefined lifts the limit.
 * @throws RankshiftError E_BAD_INPUT for a delay of a node that is no virtual machine.
 */
export async function limitLink(
  state: TestbedState,
  node: string,
  rate: string | undefined,
  delay?: string,
): Promise<void> {
  const { init, kind } = nodeOf(state, node);
  if (delay !== undefined && kind !== 'machine') {
    throw new RankshiftError('E_BAD_INPUT', `${node} is no virtual machine: its link can have no delay`, {
      action: 'Use a testbed that was started with --vm.',
    });
  }
  const { fabric } = testbedPaths(state.name);
  // A bucket of 1 MiB lets segments of the largest offload size through at any rate.
  const limit = rate === undefined ? [] : ['tbf', 'rate', rate, 'burst', '1mb', 'latency', '50ms'];
  const qdisc = (discipline: string[], dev: string) => [
    ...['tc', 'qdisc', discipline.length === 0 ? 'delete' : 'replace', 'dev', dev, 'root', ...discipline],
  ];
  const allow = (discipline: string[]) => (discipline.length === 0 ? { allow: 'any' as const } : {});
  await run('nsenter', [`--net=${fabric}`, ...qdisc(limit, node)], allow(limit));
  if (kind === 'machine') {
    const ofRate = rate === undefined ? [] : ['rate', rate];
    const netem = delay === undefined ? limit : ['netem', 'delay', delay, ...ofRate, 'limit', '20000'];
    await execInNode(state, node, qdisc(netem, 'eth0'), allow(netem));
    return;
  }
  await run('nsenter', [`--net=/proc/${init?.pid ?? 0}/ns/net`, ...qdisc(limit, 'eth0')], allow(limit));
}

function chainOf(state: TestbedState, a: string, b: string): string {
  return ['cut', ...[nodeOf(state, a).name, nodeOf(state, b).name].sort()].join('-');
}

async function nft(state: TestbedState, lines: string[]): Promise<void> {
  const { fabric } = testbedPaths(state.name);
  await run('nsenter', [`--net=${fabric}`, nftProgram, '-f', '-'], { input: `${lines.join('\n')}\n` });
}
