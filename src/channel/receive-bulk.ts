import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { RankshiftError } from '../errors.ts';
import { decodeEnd, encodeFrame, frameType } from './frame.ts';
import type { Link } from './link.ts';

/** Writes what arrives to a stream up to the end frame; see Channel.pipeOut. */
export async function receiveBulk(link: Link, writable: Writable): Promise<number> {
  const failed = new AbortController();
  const fail = (cause: Error): void => failed.abort(writeFailure(link.peer, cause));
  writable.once('error', fail);
  try {
    const count = await pour(link, writable, failed.signal);
    const done = finished(writable, { readable: false });
    writable.end();
    await done.catch(fail);
    if (failed.signal.aborted) throw failed.signal.reason;
    return count;
  } catch (error) {
    if (failed.signal.aborted) await refuse(link, failed.signal.reason);
    // Destroyed with an error of its own it would throw where nobody listens any more.
    writable.on('error', () => undefined).destroy();
    throw error;
  } finally {
    writable.off('error', fail);
  }
}

async function pour(link: Link, writable: Writable, signal: AbortSignal): Promise<number> {
  let count = 0;
  for (;;) {
    const item = link.inbox.takeNow() ?? (await link.inbox.take({ signal }));
    if (signal.aborted) throw signal.reason;
    if (item.kind === 'error') throw item.error;
    if (item.kind === 'end') {
      const sent = decodeEnd(item.payload);
      if (sent === count) return count;
      throw link.error(`${sent} bytes were sent, ${count} came`);
    }
    if (item.kind === 'message') {
      const error = link.error('a message came in the middle of bulk bytes');
      link.destroy(error);
      throw error;
    }
    count += item.payload.length;
    if (!writable.write(item.payload)) await drained(writable, signal);
  }
}

/** Resolves when the stream takes more; rejects when it failed or was closed. */
function drained(writable: Writable, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      writable.off('drain', drain).off('close', close);
      signal.removeEventListener('abort', close);
    };
    const drain = (): void => {
      settle();
      resolve();
    };
    const close = (): void => {
      settle();
      reject(signal.reason ?? new RankshiftError('E_COMMAND', 'the receiving stream was closed before its end'));
    };
    writable.once('drain', drain).once('close', close);
    signal.addEventListener('abort', close, { once: true });
    if (signal.aborted || writable.destroyed) close();
  });
}

async function refuse(link: Link, error: RankshiftError): Promise<void> {
  if (!link.ended)
    await link.write(encodeFrame(frameType.error, Buffer.from(JSON.stringify(error)))).catch(() => undefined);
  void link.close(error);
}

function writeFailure(peer: string, cause: NodeJS.ErrnoException): RankshiftError {
  if (cause instanceof RankshiftError) return cause;
  const full = ['ENOSPC', 'EDQUOT', 'ENOMEM'].includes(cause.code ?? '');
  const message = `writing what came from ${peer} failed: ${cause.message}`;
  return new RankshiftError(full ? 'E_TARGET_FULL' : 'E_COMMAND', message, { cause });
}
