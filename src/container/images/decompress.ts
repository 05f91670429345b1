import { pipeline, Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';

export type Compression = 'gzip' | 'zstd' | 'none';

/** What a stream is compressed with, by its first bytes (RFC 1952 section 2.3.1, RFC 8878 section 3.1.1). */
export function compressionOf(head: Uint8Array): Compression {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip';
  if (head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd) return 'zstd';
  return 'none';
}

/** The stream without its compression, which is told by content and not by media type or file name. */
export async function* decompressed(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const iterator = stream[Symbol.asyncIterator]();
  const head: Uint8Array[] = [];
  let length = 0;
  while (length < 4) {
    const { done, value } = await iterator.next();
    if (done === true) break;
    head.push(value);
    length += value.length;
  }
  const whole = (async function* () {
    try {
      yield* head;
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value;
    } finally {
      await iterator.return?.();
    }
  })();
  const compression = compressionOf(Buffer.concat(head));
  if (compression === 'none') return yield* whole;
  const expand = compression === 'gzip' ? createGunzip() : createZstdDecompress();
  // A failure of either side reaches the reader of `expand`, so the callback has nothing to add.
  pipeline(Readable.from(whole, { objectMode: false }), expand, () => undefined);
  yield* expand as AsyncIterable<Uint8Array>;
}
