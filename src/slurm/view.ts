import type { Config } from '../config.ts';
import { type NodeFacts, nodeFacts } from './facts.ts';

/** A slurmctld that lives answers in milliseconds; who moves containers must not wait for one that hangs. */
const deadlineMs = 6000;
/** After a failure nobody else has to wait for the same. */
const pauseMs = 5000;
/** Older than this, what Slurm said of its nodes may not be acted on. */
const keptMs = 600_000;

interface View {
  nodes: NodeFacts[];
  at: number;
}

let last: View | null = null;
let failed: { error: Error; at: number } | null = null;
let asking: Promise<NodeFacts[]> | null = null;

/**
 * What Slurm says of its nodes; while it does not answer, what it said last, for ten minutes: moves go on while slurmctld
 * is restarted, and a node that was drained before is no target meanwhile. Callers at the same time share one question.
 * @param now in milliseconds, for tests.
 * @throws RankshiftError E_SLURM, E_MISSING where it never answered, or too long ago.
 */
export async function slurmView(config: Pick<Config, 'scontrolPath'>, now = Date.now()): Promise<NodeFacts[]> {
  if (failed !== null && now - failed.at < pauseMs) return remembered(failed.error, now);
  asking ??= ask(config, now).finally(() => {
    asking = null;
  });
  try {
    return await asking;
  } catch (error) {
    return remembered(error as Error, now);
  }
}

async function ask(config: Pick<Config, 'scontrolPath'>, now: number): Promise<NodeFacts[]> {
  try {
    const nodes = await nodeFacts(config, undefined, { timeoutMs: deadlineMs });
    last = { nodes, at: now };
    failed = null;
    return nodes;
  } catch (error) {
    failed = { error: error as Error, at: now };
    throw error;
  }
}

function remembered(error: Error, now: number): NodeFacts[] {
  if (last === null || now - last.at > keptMs) throw error;
  return last.nodes;
}
