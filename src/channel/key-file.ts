import {
  closeSync,
  fchmodSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { RankshiftError } from '../errors.ts';

export interface KeyFileOptions {
  /** Replace a file that exists. @defaultValue false */
  force?: boolean;
  /** Permission bits. @defaultValue 0o600 */
  mode?: number;
}

/**
 * Writes a key file whole or not at all: a temporary file beside it is synced, then linked (which fails where the name
 * exists, link(2)) or, with `force`, renamed over it. A directory that is absent is made for its owner only.
 * @throws RankshiftError E_BAD_INPUT where the file exists and `force` is not set.
 */
export function writeKeyFile(
  file: string,
  content: string,
  { force = false, mode = 0o600 }: KeyFileOptions = {},
): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const temporary = `${file}.${process.pid}.new`;
  rmSync(temporary, { force: true });
  try {
    writeSynced(temporary, content, mode);
    if (force) renameSync(temporary, file);
    else linkSync(temporary, file);
    syncDirectory(dirname(file));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    throw new RankshiftError('E_BAD_INPUT', `${file} exists already and is not overwritten`, {
      action: 'Keep it, or replace it with --force; what was made with the old one stops working then.',
      cause,
    });
  } finally {
    rmSync(temporary, { force: true });
  }
}

function writeSynced(file: string, content: string, mode: number): void {
  const descriptor = openSync(file, 'wx', mode);
  try {
    fchmodSync(descriptor, mode); // open(2) applies the umask, and ca.pem must be readable for all
    writeSync(descriptor, content);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
