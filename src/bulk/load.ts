import { type ReceiverOptions, type SenderOptions, senderLine } from './bulk.ts';
import { Carrier } from './carrier.ts';

const startMs = 10_000;
/** What was sent last may still lie in buffers of a slow link. */
const longestMs = 30_000;

/** Takes what loadLink sends; `done` when that has ended. @throws RankshiftError E_LINK, E_MISSING. */
export async function startSink(options: Omit<ReceiverOptions, 'dir'>) {
  const { program, address, ports, source, key } = options;
  const carrier = new Carrier(program, ['sink', address, ...ports.map(String), source], key);
  return { port: await carrier.number(startMs), done: carrier.ended, drop: () => carrier.drop() };
}

/**
 * Bytes per second from here to a sink, as memory would go there: for so many milliseconds, or pieces of 256 KiB.
 * @throws RankshiftError E_LINK, E_TIMEOUT, E_MISSING.
 */
export async function loadLink(
  options: Omit<SenderOptions, 'dir'>,
  { ms, frames }: { ms: number; frames: number },
): Promise<number> {
  const { program, address, port, key, wire } = options;
  const args = ['load', address, String(port), String(ms), String(frames)];
  const carrier = new Carrier(program, args, senderLine(key, wire));
  await carrier.line(startMs);
  return await carrier.number(ms + longestMs);
}
