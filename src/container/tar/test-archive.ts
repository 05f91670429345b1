import { blockSize, paddingOf, type TarEntry } from './entry.ts';
import { encodeEntry, plainEntry } from './header.ts';

export type Member = Partial<TarEntry> & Pick<TarEntry, 'type' | 'path'> & { content?: string | Buffer };

/** An archive made by hand for tests, hostile ones included. */
export function testArchive(members: readonly Member[]): Buffer {
  const parts: Buffer[] = [];
  for (const { content = '', ...member } of members) {
    const data = typeof content === 'string' ? Buffer.from(content) : content;
    parts.push(encodeEntry({ ...plainEntry(member.type, member.path), ...member, size: data.length }));
    parts.push(data, Buffer.alloc(paddingOf(data.length)));
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * blockSize)]);
}

/** A stream of a buffer in pieces of a given size. */
export async function* inPieces(data: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size);
}
