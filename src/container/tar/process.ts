import { type ChildProcess, spawn } from 'node:child_process';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type ErrorCode, RankshiftError } from '../../errors.ts';
import { lastLines } from '../../process/run.ts';

/** Options with which GNU tar keeps everything that a file system knows about a file. */
const keepAll = ['--numeric-owner', '--xattrs', '--xattrs-include=*'];

const brokenPipe = ['EPIPE', 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE'];

export interface TarProcessOptions {
  /** Code of the errors thrown. */
  code: ErrorCode;
  /** The stream must end within this time. */
  timeoutMs: number;
  signal?: AbortSignal;
}

/**
 * Archives a directory with GNU tar and streams the archive. Needs a child whose output is a stream, which the runner
 * of short commands does not have.
 */
export function createTar(directory: string, extra: readonly string[], options: TarProcessOptions): Readable {
  return Readable.from(archive(directory, extra, options), { objectMode: false });
}

async function* archive(
  directory: string,
  extra: readonly string[],
  options: TarProcessOptions,
): AsyncGenerator<Buffer> {
  const args = ['--create', '--file=-', '--format=pax', ...keepAll, ...extra, `--directory=${directory}`, '.'];
  const child = start(args, ['ignore', 'pipe', 'pipe'], options);
  try {
    if (child.process.stdout === null) throw new RankshiftError('E_INTERNAL', 'tar has no output');
    yield* child.process.stdout as AsyncIterable<Buffer>;
    await child.ended;
  } finally {
    child.process.kill('SIGKILL');
  }
}

/**
 * Extracts a tar stream with GNU tar into a directory, as root, keeping owners, modes, times, hard links, devices and
 * extended attributes. GNU tar itself refuses `..` and lays symbolic links that lead up or out only at its very end
 * (extract.c, "delayed links"); the callers check every entry before that as well.
 */
export async function extractTar(
  stream: AsyncIterable<Uint8Array>,
  directory: string,
  options: TarProcessOptions,
): Promise<void> {
  const args = ['--extract', '--file=-', ...keepAll, '--same-owner', '--same-permissions', `--directory=${directory}`];
  const child = start(args, ['pipe', 'ignore', 'pipe'], options);
  try {
    if (child.process.stdin === null) throw new RankshiftError('E_INTERNAL', 'tar has no input');
    const fed = pipeline(stream, child.process.stdin);
    // When tar fails, the pipe breaks too: tar's own words are the better message, unless the stream failed first.
    const [feeding, ending] = await Promise.allSettled([fed, child.ended]);
    if (feeding.status === 'rejected' && !brokenPipe.includes((feeding.reason as NodeJS.ErrnoException).code ?? '')) {
      throw feeding.reason;
    }
    if (ending.status === 'rejected') throw ending.reason;
    if (feeding.status === 'rejected') throw feeding.reason;
  } finally {
    child.process.kill('SIGKILL');
  }
}

function start(
  args: readonly string[],
  stdio: ('pipe' | 'ignore')[],
  options: TarProcessOptions,
): { process: ChildProcess; ended: Promise<void> } {
  // LC_ALL=C: names are bytes to tar, not text to be converted.
  const child = spawn('tar', args, {
    stdio,
    env: { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
    timeout: options.timeoutMs,
    killSignal: 'SIGKILL',
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-4096);
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', (cause: NodeJS.ErrnoException) => {
      const code = cause.code === 'ENOENT' ? 'E_MISSING' : options.code;
      reject(new RankshiftError(code, `tar: ${cause.message}`, { cause }));
    });
    child.once('close', (code, signal) => {
      if (code === 0) return resolve();
      const lines = lastLines(stderr, 5);
      const how = signal === null ? `exit ${code}` : `killed by ${signal}`;
      reject(new RankshiftError(options.code, `tar: ${how}: ${lines.join(' | ')}`, { lines }));
    });
  });
  ended.catch(() => undefined); // The stream's own failure may be reported first.
  return { process: child, ended };
}
