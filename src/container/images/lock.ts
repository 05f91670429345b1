import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { RankshiftError } from '../../errors.ts';

/** The parts that need the lock take milliseconds; who waits longer waits for something that hangs. */
const lockTimeoutSeconds = 60;

/**
 * Runs `work` while no other process changes which layers the store's images use. The lock is flock(2) on a file of
 * the store, held by flock(1) that lives as long as our end of its pipe: it cannot outlive this process.
 * @throws RankshiftError E_BUSY where the lock is not had in time, E_MISSING without flock(1).
 */
export async function withStoreLock<T>(store: string, work: () => Promise<T>): Promise<T> {
  const args = ['--exclusive', '--timeout', String(lockTimeoutSeconds), join(store, '.lock'), 'cat'];
  const holder = spawn('flock', args, { stdio: ['pipe', 'pipe', 'ignore'] });
  const ended = once(holder, 'close');
  try {
    // cat echoes as soon as it runs, which is when the lock is held.
    holder.stdin.on('error', () => undefined).write('\n');
    const held = await Promise.race([
      once(holder.stdout, 'data').then(() => true),
      ended.then(() => false), // Rejects where flock cannot be started.
    ]);
    if (!held) throw new RankshiftError('E_BUSY', `another process keeps the image store ${store} locked`);
    return await work();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT' || holder.pid !== undefined) throw cause;
    throw new RankshiftError('E_MISSING', 'flock (package util-linux) is not installed', { cause });
  } finally {
    holder.stdin.end();
    await ended.catch(() => undefined);
  }
}
