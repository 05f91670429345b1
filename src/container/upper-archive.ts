import { mkdir, readdir } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { RankshiftError } from '../errors.ts';
import { guardedTar } from './tar/guard.ts';
import { createTar, extractTar } from './tar/process.ts';

/** An upper directory of many gigabytes over a slow link; whatever takes longer hangs. */
const defaultTimeoutMs = 30 * 60_000;

/**
 * Attributes by which overlayfs remembers the files of this node's lower layers (overlayfs.rst); on another node they
 * would point to nothing or to something else. It does without them.
 */
const nodeBound = ['trusted.overlay.origin', 'trusted.overlay.impure', 'trusted.overlay.nlink', 'trusted.overlay.uuid'];

export interface UpperArchiveOptions {
  timeoutMs?: number;
  signal?: AbortSignal;
}

/**
 * Archives a container's upper directory: owners, modes, times to the nanosecond, hard links, holes, FIFOs, whiteouts,
 * extended attributes, access control lists. Sockets are left out: CRIU makes them anew. The container must be frozen,
 * or the archive may hold a file in the middle of a write.
 * The stream fails with E_COMMAND where a file cannot be read or changes while it is read.
 */
export function packUpper(upperDir: string, options: UpperArchiveOptions = {}): Readable {
  const extra = ['--sparse', '--warning=no-file-ignored', ...nodeBound.map((name) => `--xattrs-exclude=${name}`)];
  return createTar(upperDir, extra, { code: 'E_COMMAND', ...limits(options) });
}

/**
 * Lays an archived upper directory out in an absent or empty directory. What is in it was controlled by the
 * container's user, so every entry is checked before tar sees it: none can reach outside.
 * @throws RankshiftError E_BUSY where the directory holds something, E_LINK where the archive is cut short or not
 * acceptable, E_TARGET_FULL.
 */
export async function unpackUpper(
  stream: AsyncIterable<Uint8Array>,
  upperDir: string,
  options: UpperArchiveOptions = {},
): Promise<void> {
  await mkdir(upperDir, { recursive: true, mode: 0o755 });
  if ((await readdir(upperDir)).length > 0) throw new RankshiftError('E_BUSY', `${upperDir} is not empty`);
  try {
    await extractTar(guardedTar(stream), upperDir, { code: 'E_LINK', ...limits(options) });
  } catch (error) {
    // What is not ours is the stream's: a connection that broke.
    const failure =
      error instanceof RankshiftError
        ? error
        : new RankshiftError('E_LINK', `upper directory: ${(error as Error).message}`, { cause: error });
    if (!/No space left on device|Disk quota exceeded/.test(failure.message)) throw failure;
    throw new RankshiftError('E_TARGET_FULL', failure.message, { cause: error });
  }
}

function limits({ timeoutMs = defaultTimeoutMs, signal }: UpperArchiveOptions) {
  return { timeoutMs, ...(signal === undefined ? {} : { signal }) };
}
