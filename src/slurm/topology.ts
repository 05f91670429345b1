import type { Config } from '../config.ts';
import { run } from '../process/run.ts';
import { expandHostlist } from './hostlist.ts';
import { isSilence } from './programs.ts';

const deadlineMs = 6000;
/** topology.conf changes with the hardware. */
const keptMs = 300_000;

let known: { paths: ReadonlyMap<string, string[]>; at: number } | null = null;

/** Node -> its switch, the switch above it, and so on up, from `scontrol show topology`; empty where there is none. */
export async function switchPaths(config: Pick<Config, 'scontrolPath'>): Promise<ReadonlyMap<string, string[]>> {
  if (known !== null && Date.now() - known.at < keptMs) return known.paths;
  try {
    const { stdout, stderr, exitCode } = await run(config.scontrolPath, ['show', 'topology'], {
      timeoutMs: deadlineMs,
      allow: 'any',
    });
    // A slurmctld that is away has not said that there are none.
    if (exitCode !== 0 && isSilence(stderr)) return known?.paths ?? new Map();
    known = { paths: exitCode === 0 ? parseTopology(stdout) : new Map(), at: Date.now() };
    return known.paths;
  } catch {
    return known?.paths ?? new Map();
  }
}

/** Reads lines such as `SwitchName=s0 Level=0 LinkSpeed=1 Nodes=n[1-2]` and `SwitchName=s2 Level=1 ... Switches=s[0-1]`. */
export function parseTopology(text: string): Map<string, string[]> {
  const above = new Map<string, string>();
  const leaves: { name: string; nodes: string[] }[] = [];
  for (const line of text.split('\n')) {
    const fields = new Map(line.split(/\s+/).map((word) => [word.split('=', 1)[0] ?? '', word.replace(/^[^=]*=/, '')]));
    const name = fields.get('SwitchName');
    if (name === undefined) continue;
    const below = expand(fields.get('Switches'));
    for (const one of below) above.set(one, name);
    // A switch above others lists the nodes of all of them.
    if (below.length === 0) leaves.push({ name, nodes: expand(fields.get('Nodes')) });
  }
  const paths = new Map<string, string[]>();
  for (const { name, nodes } of leaves) {
    const path = [name];
    for (let up = above.get(name); up !== undefined && !path.includes(up); up = above.get(up)) path.push(up);
    for (const node of nodes) paths.set(node, path);
  }
  return paths;
}

function expand(list: string | undefined): string[] {
  return list === undefined || list === '' || list === '(null)' ? [] : expandHostlist(list);
}
