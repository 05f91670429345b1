import { readFile } from 'node:fs/promises';
import { RankshiftError } from '../../errors.ts';
import { decode, type MessageName } from './messages.ts';

/** First and second word of each kind of image (criu/include/magic.h). Statistics are "service" files. */
const kinds = {
  files: { magic: [0x54564319, 0x56303138], message: 'file_entry' },
  tcpStream: { magic: [0x54564319, 0x51465506], message: 'tcp_stream_entry' },
  pstree: { magic: [0x54564319, 0x50273030], message: 'pstree_entry' },
  core: { magic: [0x54564319, 0x55053847], message: 'core_entry' },
  stats: { magic: [0x55105940, 0x57093306], message: 'stats_entry' },
} as const satisfies Record<string, { magic: readonly [number, number]; message: MessageName }>;

export type ImageKind = keyof typeof kinds;

/** The magic words come before the first entry. */
const headBytes = 8;

export interface ReadOptions {
  /** Entries to read; raw data may follow them, as a socket's queues do. @defaultValue all up to the end of the file */
  entries?: number;
}

/**
 * The messages of one image file: two magic words, then each message behind its size, a little-endian 32-bit word.
 * @throws RankshiftError E_CRIU where the file is absent, of another kind, or cut short.
 */
export async function readImage(
  file: string,
  kind: ImageKind,
  { entries = Number.POSITIVE_INFINITY }: ReadOptions = {},
): Promise<Record<string, unknown>[]> {
  const bytes = await readFile(file).catch((cause: Error) => {
    throw new RankshiftError('E_CRIU', `cannot read the image: ${cause.message}`, { cause });
  });
  return parseImage(bytes, kind, file, entries);
}

function parseImage(bytes: Buffer, kind: ImageKind, file: string, entries: number): Record<string, unknown>[] {
  const { magic, message } = kinds[kind];
  const bad = (why: string, cause?: unknown) => new RankshiftError('E_CRIU', `${file}: ${why}`, { cause });
  if (bytes.length < headBytes) throw bad('the image is cut short');
  if (bytes.readUInt32LE(0) !== magic[0] || bytes.readUInt32LE(4) !== magic[1])
    throw bad(`not a CRIU image of ${kind}`);
  const messages = [];
  for (let at = headBytes; at < bytes.length && messages.length < entries; ) {
    if (at + 4 > bytes.length) throw bad('the image is cut short');
    const end = at + 4 + bytes.readUInt32LE(at);
    if (end > bytes.length) throw bad('the image is cut short');
    try {
      messages.push(decode(message, bytes.subarray(at + 4, end)));
    } catch (cause) {
      throw bad(`not a message ${message}: ${(cause as Error).message}`, cause);
    }
    at = end;
  }
  return messages;
}
