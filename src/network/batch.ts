import { RankshiftError } from '../errors.ts';
import { type Armed, arm } from '../process/armed.ts';
import { run } from '../process/run.ts';

/** One line of a batch for ip(8) or bridge(8). */
export interface BatchLine {
  words: string;
  /** A refusal of this line that is no failure, such as the absence of what is to be deleted. */
  unless?: RegExp;
}

/** What iproute2 says when the thing itself, or the device it is on, is not there. */
export const absent = /No such file or directory|Cannot find device|No such device/;
export const present = /File exists/;

/** Configuration of links takes milliseconds; a minute means that the kernel's lock on them is stuck. */
const longestMs = 20_000;

const flags = ['-force', '-batch', '-'];

/** Starts the tool of a batch that will be needed inside the downtime, in the network namespace of the caller. */
export function armBatch(tool: 'ip' | 'bridge'): Armed {
  return arm(tool, flags);
}

/**
 * Runs many ip(8) or bridge(8) commands with one fork, through -batch on standard input. Lines after a refused one are
 * still carried out (-force). In the network namespace of the caller, or in the named one; `armed`: by a tool that
 * armBatch started before.
 * @throws RankshiftError E_COMMAND naming the first refused line and the kernel's reason.
 */
export async function batch(
  tool: 'ip' | 'bridge',
  lines: readonly BatchLine[],
  { netns, armed }: { netns?: string | undefined; armed?: Armed | undefined } = {},
): Promise<void> {
  if (lines.length === 0) return;
  const where = netns === undefined ? [] : ['-netns', netns];
  const input = `${lines.map(({ words }) => words).join('\n')}\n`;
  const started = armed?.fire(input, longestMs);
  const result = await (started ?? run(tool, [...where, ...flags], { input, allow: 'any', timeoutMs: longestMs }));
  const refused = refusals(result.stderr).find(({ line, reason }) => lines[line - 1]?.unless?.test(reason) !== true);
  if (refused !== undefined) {
    const words = lines[refused.line - 1]?.words ?? 'batch';
    throw new RankshiftError('E_COMMAND', `${[tool, ...where, words].join(' ')}: ${refused.reason}`);
  }
  if (result.exitCode !== 0 && refusals(result.stderr).length === 0) {
    throw new RankshiftError('E_COMMAND', `${[tool, ...where].join(' ')}: ${result.stderr.trim()}`);
  }
}

/** The refused lines out of standard error: a reason, then `Command failed -:LINE`; some usage errors end at once. */
function refusals(stderr: string): { line: number; reason: string }[] {
  const found = [];
  let reason: string[] = [];
  for (const text of stderr.split('\n')) {
    const [, line] = /^Command failed -:(\d+)$/.exec(text) ?? [];
    if (line === undefined) {
      if (text.trim() !== '') reason.push(text.trim());
      continue;
    }
    found.push({ line: Number(line), reason: reason.join('; ') });
    reason = [];
  }
  if (reason.length > 0) found.push({ line: 0, reason: reason.join('; ') });
  return found;
}
