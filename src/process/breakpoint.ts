import { existsSync } from 'node:fs';
import { unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config.ts';

const pollMs = 5;
/** A forgotten breakpoint lets go by itself. */
const longestMs = 120_000;

/**
 * A named place at which the fault tests stop a process to kill it. Does nothing unless the configuration has
 * TestBreakpoints=yes and a file `<RunDir>/breakpoints/<name>` exists; then writes `<name>.hit` with the process id and
 * waits until the file is gone.
 */
export async function breakpoint(config: Config, name: string): Promise<void> {
  if (!config.testBreakpoints) return;
  const file = join(config.runDir, 'breakpoints', name);
  if (!existsSync(file)) return;
  await writeFile(`${file}.hit`, String(process.pid));
  const deadline = Date.now() + longestMs;
  while (existsSync(file) && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, pollMs));
  await unlink(`${file}.hit`).catch(() => undefined);
}
