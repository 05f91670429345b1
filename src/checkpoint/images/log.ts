import { open } from 'node:fs/promises';

/** The reason stands near the end; what CRIU says while it undoes things fits as well. */
const tailBytes = 262_144;
const mostLines = 8;

/** Lines that CRIU also writes when nothing is wrong. */
const harmless = [
  // Without CAP_SYS_RESOURCE the limit stays as it is.
  /RLIMIT_NOFILE/,
  // Says only that something failed; the line before it says what.
  /: (?:Dumping|Restoring) FAILED\.$/,
];

/**
 * The last Error lines of a log of CRIU, oldest first, without their time stamps and without those that say nothing. Where
 * only such lines are there, they are given, and an empty list where there is none or no log.
 */
export async function readCriuLogErrors(logFile: string): Promise<string[]> {
  const errors = (await tail(logFile))
    .split('\n')
    .map((line) => line.replace(/^\(\d+\.\d+\)\s*(\d+: )?/, '').trim())
    .filter((line) => /^(?:pie: \d+: )?Error\b/.test(line));
  const telling = errors.filter((line) => !harmless.some((pattern) => pattern.test(line)));
  const chosen = telling.length > 0 ? telling : errors.filter((line) => /FAILED/.test(line));
  return chosen.slice(-mostLines);
}

async function tail(file: string): Promise<string> {
  let handle: Awaited<ReturnType<typeof open>>;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
  try {
    const { size } = await handle.stat();
    const length = Math.min(size, tailBytes);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}
