import type { Config } from '../config.ts';
import { shareLooks } from '../shared-look.ts';
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
/** By the path of scontrol. */
const questions = new Map<string, () => Promise<NodeFacts[]>>();

/**
 * What Slurm says of its nodes; while it does not answer, what it said last, for ten minutes: moves go on while slurmctld
 * is restarted, and a node that was drained before is no target meanwhile. Callers at the same time share questions; no answer
 * is older than its caller's question.
 * @param now in milliseconds, for tests.
 * @throws RankshiftError E_SLURM, E_MISSING where it never answered, or too long ago.
 */
export async function slurmView(config: Pick<Config, 'scontrolPath'>, now = Date.now()): Promise<NodeFacts[]> {
  if (failed !== null && now - failed.at < pauseMs) return remembered(failed.error, now);
  try {
    const nodes = await questionOf(config)();
    last = { nodes, at: now };
    failed = null;
    return nodes;
  } catch (error) {
    failed = { error: error as Error, at: now };
    return remembered(error as Error, now);
  }
}

function questionOf(config: Pick<Config, 'scontrolPath'>): () => Promise<NodeFacts[]> {
  const known = questions.get(config.scontrolPath);
  if (known !== undefined) return known;
  const made = shareLooks(
    () => nodeFacts(config, undefined, { timeoutMs: deadlineMs }),
    () => 0,
  );
  questions.set(config.scontrolPath, made);
  return made;
}

function remembered(error: Error, now: number): NodeFacts[] {
  if (last === null || now - last.at > keptMs) throw error;
  return last.nodes;
}
