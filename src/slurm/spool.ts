import { type FSWatcher, watch } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';
import { expandHostlist } from './hostlist.ts';

/** Where Slurm's hooks leave their notes, below StateDir. */
export function hookSpoolDir(config: { stateDir: string }): string {
  return join(config.stateDir, 'spool', 'hooks');
}

const hostlist = z.string().transform((text, context) => {
  try {
    return expandHostlist(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
    return z.NEVER;
  }
});

/** What slurm/prolog.d and slurm/epilog.d write: one JSON object a file. */
export const hookEventSchema = z.object({
  version: z.literal(1),
  event: z.enum(['prolog', 'epilog']),
  job: z.number().int().positive(),
  uid: z.number().int().min(0),
  user: z.string(),
  nodes: hostlist,
  node: z.string(),
  cluster: z.string(),
  /** Milliseconds since 1970. */
  at: z.number().int().min(0),
});

export type HookEvent = z.output<typeof hookEventSchema>;

export interface WatchOptions {
  log: Pick<Logger, 'warn' | 'info' | 'debug'>;
  signal: AbortSignal;
  /** inotify can lose events (queue overflow, a replaced directory); the poll finds them. @defaultValue 5000 */
  pollMs?: number;
}

/**
 * Hands each note of Slurm's hooks to `onEvent`, one after another, oldest first: those left while nobody watched, then
 * new ones as they come. A note is removed only after `onEvent` resolved; where it rejects, the note stays and is tried
 * again at the next poll, and later notes of the same job wait behind it. What is no note of a hook moves to `bad/`.
 * Delivery is at least once: `onEvent` must bear repetition.
 * @returns when the signal aborts and a running `onEvent` has ended.
 */
export async function watchSpool(
  dir: string,
  onEvent: (event: HookEvent) => Promise<void>,
  { log, signal, pollMs = 5000 }: WatchOptions,
): Promise<void> {
  await mkdir(join(dir, 'bad'), { recursive: true, mode: 0o700 });
  const bell = makeBell(signal);
  let watcher: FSWatcher | undefined;
  try {
    let rung = false;
    while (!signal.aborted) {
      // A watcher follows the inode: after a quiet poll it is opened anew, in case the directory was replaced.
      if (!rung) {
        watcher?.close();
        watcher = openWatcher(dir, bell.ring);
      }
      await drain(dir, onEvent, log, signal);
      rung = await bell.wait(pollMs);
    }
  } finally {
    watcher?.close();
  }
}

/** Undefined where it cannot be had (directory gone, no inotify watches left): the poll goes on alone. */
function openWatcher(dir: string, ring: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(dir, { persistent: false }, ring);
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    return undefined;
  }
}

/** Works through the notes that lie there now. */
async function drain(
  dir: string,
  onEvent: (event: HookEvent) => Promise<void>,
  log: WatchOptions['log'],
  signal: AbortSignal,
): Promise<void> {
  const waiting = new Set<number>();
  for (const file of await notesInOrder(dir, log)) {
    if (signal.aborted) return;
    const event = await readNote(dir, file, log);
    if (event === undefined || waiting.has(event.job)) continue;
    try {
      await onEvent(event);
      await rm(join(dir, file), { force: true });
    } catch (error) {
      waiting.add(event.job);
      log.warn({ file, job: event.job, error: String(error) }, 'hook event failed; it will be tried again');
    }
  }
}

/** File names in the order in which the hooks ran; drafts start with a dot. */
async function notesInOrder(dir: string, log: WatchOptions['log']): Promise<string[]> {
  let names: string[];
  try {
    const entries = await readdir(dir, { withFileTypes: true });
    names = entries.filter((entry) => !entry.isDirectory() && !entry.name.startsWith('.')).map(({ name }) => name);
  } catch (error) {
    log.warn({ dir, error: String(error) }, 'cannot read the hook spool');
    await mkdir(join(dir, 'bad'), { recursive: true, mode: 0o700 }).catch(() => undefined);
    return [];
  }
  const stamped = names.map((name) => ({ name, at: stamp(name) }));
  return stamped.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0)).map(({ name }) => name);
}

/** Nanoseconds at the end of the name, `<event>-<job>-<nanoseconds>.json`. */
function stamp(name: string): bigint {
  return BigInt(/-(\d{1,30})\.json$/.exec(name)?.[1] ?? '0');
}

async function readNote(dir: string, file: string, log: WatchOptions['log']): Promise<HookEvent | undefined> {
  let reason: string;
  try {
    const parsed = hookEventSchema.safeParse(JSON.parse(await readFile(join(dir, file), 'utf8')));
    if (parsed.success) return parsed.data;
    reason = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    reason = (error as Error).message;
  }
  log.warn({ file, reason }, 'not a note of a hook; moved to bad/');
  await mkdir(join(dir, 'bad'), { recursive: true, mode: 0o700 }).catch(() => undefined);
  await rename(join(dir, file), join(dir, 'bad', file)).catch((error: unknown) => {
    log.warn({ file, error: String(error) }, 'cannot move it');
  });
  return undefined;
}

interface Bell {
  ring: () => void;
  /** True where it ended because somebody rang, before or during the wait. */
  wait: (ms: number) => Promise<boolean>;
}

/** A wait that ends when somebody rings, at the time-out or at the abort; a ring before the wait is not lost. */
function makeBell(signal: AbortSignal): Bell {
  let rung = false;
  let wake: (() => void) | undefined;
  const ring = () => {
    rung = true;
    wake?.();
  };
  const wait = async (ms: number) => {
    if (!rung && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
        signal.addEventListener('abort', wake, { once: true });
      });
      if (wake !== undefined) signal.removeEventListener('abort', wake);
      wake = undefined;
    }
    const wasRung = rung;
    rung = false;
    return wasRung;
  };
  return { ring, wait };
}
