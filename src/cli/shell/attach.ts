import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { z } from 'zod';
import type { Lines } from '../../api/lines.ts';
import { RankshiftError } from '../../errors.ts';
import { type FromShell, fromShellSchema, type ShellStart, type ToShell } from '../../migration/shell.ts';

/** As ssh: the connection went, or a move closed the shell. */
const brokenCode = 255;
const pieceBytes = 64 * 1024;

/** Puts our terminal, or our streams, in the place of the program's; returns its exit code. @throws what the controller says. */
export async function attach(lines: Lines, start: ShellStart): Promise<number> {
  const { stdin, stdout } = process;
  const raw = start.terminal !== null;
  const restore = () => raw && stdin.setRawMode(false);
  const send = (message: ToShell) => lines.send(message).catch(() => undefined);
  const onResize = () => void send({ type: 'size', columns: stdout.columns || 80, rows: stdout.rows || 24 });
  const ending = Promise.withResolvers<number>();
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT'] as const) {
    process.once(signal, () => ending.resolve(128 + constants.signals[signal]));
  }
  process.once('exit', restore);
  await lines.send(start);
  try {
    const code = follow(lines, () => {
      if (raw) makeRaw();
      stdout.on('resize', onResize);
      void feed(send);
    });
    return await Promise.race([code, ending.promise]);
  } finally {
    stdout.removeListener('resize', onResize);
    restore();
    lines.destroy();
  }
}

/**
 * Node's raw mode still makes a carriage return of each line feed, which the program's own terminal has done where it was
 * wanted. `setRawMode(false)` undoes both.
 */
function makeRaw(): void {
  process.stdin.setRawMode(true);
  spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] });
}

/** Our input, in order, each piece when the one before has gone. */
async function feed(send: (message: ToShell) => Promise<void>): Promise<void> {
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length; at += pieceBytes)
      await send({ type: 'input', data: chunk.subarray(at, at + pieceBytes).toString('base64') });
  }
  await send({ type: 'eof' });
}

async function follow(lines: Lines, onStart: () => void): Promise<number> {
  let closed = false;
  for await (const value of lines.values()) {
    const message = parse(value);
    if (message.type === 'started') onStart();
    else if (message.type === 'output') await write(message.to, Buffer.from(message.data, 'base64'));
    else if (message.type === 'closed') {
      closed = true;
      process.stderr.write(`\r\nrankshift: the shell is closed: ${message.why}\r\n`);
    } else return closed ? brokenCode : message.code;
  }
  if (!closed) process.stderr.write('\r\nrankshift: the connection is lost\r\n');
  return brokenCode;
}

function parse(value: unknown): FromShell {
  const failed = z.object({ error: z.unknown() }).safeParse(value);
  if (failed.success) throw RankshiftError.from(failed.data.error);
  const parsed = fromShellSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new RankshiftError('E_SERVICE', 'what the controller says is not understood');
}

async function write(to: 'stdout' | 'stderr', bytes: Buffer): Promise<void> {
  if (process[to].write(bytes)) return;
  await once(process[to], 'drain');
}
