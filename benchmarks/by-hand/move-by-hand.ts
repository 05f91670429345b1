import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Cluster } from '../../mpi-tests/support/cluster.ts';
import { until } from '../../mpi-tests/support/until.ts';
import { scriptsInNode } from './peer.ts';

export const tools = ['runc', 'podman'] as const;
export type Tool = (typeof tools)[number];

const stepsSchema = z.object({
  checkpointMs: z.number(),
  copyMs: z.number(),
  restoreMs: z.number(),
  totalMs: z.number(),
});

const gapSchema = z.object({ startEpochNs: z.number(), gapMs: z.number() });
const lineSchema = z.union([z.object({ ready: z.literal(true) }), gapSchema]);

export interface ByHand extends z.infer<typeof stepsSchema> {
  /** Longest time in which the moved program did not run, by its own clock (CLOCK_REALTIME), milliseconds. */
  downtimeMs: number;
}

const longestMs = 300_000;

/**
 * Moves a container with that much memory from one node to another by the tools that an admin has: by-hand/move-by-TOOL.
 * Everything that can be done before the container stops is done before.
 */
export async function moveByHand(cluster: Cluster, tool: Tool, mib: number, from: string, to: string): Promise<ByHand> {
  const script = async (node: string, name: string, ...args: string[]) =>
    await cluster.output(node, [join(scriptsInNode, name), ...args], { timeoutMs: longestMs });
  const directory = join(cluster.testbed.paths.homeDir, 'by-hand');
  const log = join(directory, 'hog.log');
  mkdirSync(directory, { recursive: true });
  chmodSync(directory, 0o777); // Root in the container may not write where others own.
  rmSync(log, { force: true });
  try {
    await Promise.all([from, to].map((node) => script(node, 'prepare', String(mib))));
    await script(from, `start-by-${tool}`, ...(tool === 'podman' ? [String(mib), to] : []));
    await until('hog has filled its memory', () => linesOf(log).some((line) => 'ready' in line), { timeoutMs: 60_000 });
    const started = Date.now();
    const steps = stepsSchema.parse(JSON.parse(await script(from, `move-by-${tool}`, to)));
    const copied = started + steps.checkpointMs + steps.copyMs;
    const gap = await until('hog runs on the target', () => gapOver(linesOf(log), copied), { timeoutMs: 60_000 });
    return { ...steps, downtimeMs: gap.gapMs };
  } finally {
    await Promise.all([from, to].map((node) => script(node, 'clean')));
  }
}

type Line = z.infer<typeof lineSchema>;

function linesOf(log: string): Line[] {
  if (!existsSync(log)) return [];
  const lines = readFileSync(log, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => lineSchema.parse(JSON.parse(line)));
}

/** The gap in which a moment lies, Unix time in milliseconds; on a busy machine there are others. */
function gapOver(lines: readonly Line[], momentMs: number) {
  const gaps = lines.flatMap((line) => ('gapMs' in line ? [line] : []));
  return gaps.find(({ startEpochNs, gapMs }) => {
    const start = startEpochNs / 1e6;
    return start < momentMs && start + gapMs > momentMs;
  });
}
