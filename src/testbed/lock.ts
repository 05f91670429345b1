import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { RankshiftError } from '../errors.ts';

/**
 * Runs `act` while holding flock(2) on the file. The lock is held by `flock FILE cat`, whose input ends with this
 * process however it ends; so a lock never outlives its owner.
 * @param waitMs longest wait for another holder
 * @throws RankshiftError E_BUSY where another process keeps the lock for that long, E_MISSING without flock.
 */
export async function withLock<T>(file: string, waitMs: number, act: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(file), { recursive: true });
  const seconds = String(Math.ceil(waitMs / 1000));
  const holder = spawn('flock', ['--timeout', seconds, file, 'cat'], { stdio: ['pipe', 'pipe', 'ignore'] });
  const ended = once(holder, 'exit');
  const answered = once(holder.stdout, 'data').then(() => true);
  const failed = Promise.race([
    ended.then(() => false),
    once(holder, 'error').then(() => {
      throw new RankshiftError('E_MISSING', 'flock is not installed', { action: 'Run scripts/setup.' });
    }),
  ]);
  holder.stdin.on('error', () => undefined);
  holder.stdin.write('held\n');
  if (!(await Promise.race([answered, failed]))) {
    throw new RankshiftError('E_BUSY', `${file} is held by another process`, {
      action: 'Wait until the other testbed command ends, then try again.',
    });
  }
  try {
    return await act();
  } finally {
    holder.stdin.end();
    await ended;
  }
}
