import test from 'ava';
import fc from 'fast-check';
import { pack } from 'tar-stream';
import type { TarEntry } from './entry.ts';
import { readTar } from './read.ts';
import { inPieces, type Member, testArchive } from './test-archive.ts';

async function readAll(archive: Uint8Array, piece = 100): Promise<{ entry: TarEntry; content: string; raw: Buffer }[]> {
  const found = [];
  for await (const { entry, data, raw } of readTar(inPieces(archive, piece))) {
    const chunks: Buffer[] = [];
    for await (const chunk of data()) chunks.push(chunk);
    found.push({ entry, content: Buffer.concat(chunks).toString(), raw });
  }
  return found;
}

test('what is written is read again, byte by byte', async (t) => {
  const bytes = fc.string({
    unit: fc.integer({ min: 1, max: 255 }).map((n) => String.fromCharCode(n)),
    minLength: 1,
    maxLength: 300,
  });
  const member = fc.record({
    type: fc.constant('file' as const),
    path: bytes.filter((path) => !path.endsWith('/')),
    content: fc.string({ maxLength: 2000 }),
    uid: fc.nat(),
    mode: fc.nat(0o7777),
    xattr: fc.uint8Array({ maxLength: 40 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(member, { maxLength: 4 }), fc.integer({ min: 1, max: 3000 }), async (members, piece) => {
      const withXattrs = members.map(({ xattr, ...rest }) => ({
        ...rest,
        xattrs: new Map([['security.capability', Buffer.from(xattr)]]),
      }));
      const found = await readAll(testArchive(withXattrs), piece);
      t.deepEqual(
        found.map(({ entry, content }) => ({
          type: entry.type,
          path: entry.path,
          uid: entry.uid,
          mode: entry.mode,
          xattrs: entry.xattrs,
          content,
        })),
        withXattrs.map(({ type, path, uid, mode, xattrs, content }) => ({ type, path, uid, mode, xattrs, content })),
      );
    }),
    { numRuns: 60 },
  );
});

test('an archive of tar-stream is read', async (t) => {
  const archive = pack();
  archive.entry({ name: 'a/', type: 'directory', mode: 0o700 });
  archive.entry({ name: `a/${'x'.repeat(180)}`, mode: 0o640, uid: 7 }, 'hello');
  archive.entry({ name: 'ü', type: 'symlink', linkname: 'y'.repeat(150) });
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  const [directory, file, link] = await readAll(Buffer.concat(chunks));
  t.is(directory?.entry.type, 'directory');
  t.is(file?.entry.path, `a/${'x'.repeat(180)}`);
  t.is(file?.content, 'hello');
  t.is(file?.entry.uid, 7);
  t.is(Buffer.from(link?.entry.path ?? '', 'latin1').toString(), 'ü');
  t.is(link?.entry.linkPath, 'y'.repeat(150));
});

test('an archive cut short anywhere is refused', async (t) => {
  const members: Member[] = [
    { type: 'file', path: 'x'.repeat(120), content: 'abc'.repeat(300) },
    { type: 'directory', path: 'd' },
  ];
  const archive = testArchive(members);
  for (let length = 0; length <= archive.length - 1024; length += 128) {
    await t.throwsAsync(readAll(archive.subarray(0, length)), { message: /cut short/ }, `at ${length}`);
  }
});

test('noise is refused, never misread', async (t) => {
  const archive = testArchive([{ type: 'file', path: 'a', content: 'abc' }]);
  archive[3] = 0x41;
  await t.throwsAsync(readAll(archive), { message: /malformed/ });
});
