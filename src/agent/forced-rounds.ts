import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config.ts';

/**
 * How many rounds a measurement wants, whatever the model says: the number in `<RunDir>/breakpoints/rounds`, looked at
 * with TestBreakpoints=yes alone; null where nobody asks. No option for users: which number is best is what the model is for.
 */
export async function forcedRounds({ testBreakpoints, runDir }: Config): Promise<number | null> {
  if (!testBreakpoints) return null;
  const text = await readFile(join(runDir, 'breakpoints', 'rounds'), 'utf8').catch(() => '');
  return /^[1-9]\d{0,2}\s*$/.test(text) ? Number(text) : null;
}
