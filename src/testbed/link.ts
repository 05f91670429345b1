import { run } from '../process/run.ts';
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

/** Rate of the link of a node in both directions, as of tc(8) (`1gbit`, `200mbit`); undefined lifts the limit. */
export async function limitLink(state: TestbedState, node: string, rate: string | undefined): Promise<void> {
  const { init } = nodeOf(state, node);
  const { fabric } = testbedPaths(state.name);
  // A bucket of 1 MiB lets segments of the largest offload size through at any rate.
  const limit = rate === undefined ? [] : ['tbf', 'rate', rate, 'burst', '1mb', 'latency', '50ms'];
  const action = rate === undefined ? 'delete' : 'replace';
  const allow = rate === undefined ? 'any' : [];
  await run('nsenter', [`--net=${fabric}`, 'tc', 'qdisc', action, 'dev', node, 'root', ...limit], { allow });
  const inNode = [`--net=/proc/${init?.pid ?? 0}/ns/net`, 'tc', 'qdisc', action, 'dev', 'eth0', 'root', ...limit];
  await run('nsenter', inNode, { allow });
}

function chainOf(state: TestbedState, a: string, b: string): string {
  return ['cut', ...[nodeOf(state, a).name, nodeOf(state, b).name].sort()].join('-');
}

async function nft(state: TestbedState, lines: string[]): Promise<void> {
  const { fabric } = testbedPaths(state.name);
  await run('nsenter', [`--net=${fabric}`, nftProgram, '-f', '-'], { input: `${lines.join('\n')}\n` });
}
