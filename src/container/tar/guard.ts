import { blockSize, paddingOf } from './entry.ts';
import { MemberNames } from './member-names.ts';
import { readTar } from './read.ts';

/** The same archive, entry by entry, each passed on only when it is safe to extract into an empty directory. */
export async function* guardedTar(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  const names = new MemberNames('E_LINK');
  for await (const { entry, raw, data } of readTar(stream, { code: 'E_LINK', sparse: true })) {
    names.admit(entry, names.canonical(entry.path));
    yield raw;
    yield* data();
    yield Buffer.alloc(paddingOf(entry.size));
  }
  yield Buffer.alloc(2 * blockSize);
}
