import test from 'ava';
import { countRanks, newShimPage, readShimPage } from './shim-page.ts';

test('a new page has room for twice the ranks, and nobody in it', (t) => {
  const page = newShimPage(20);
  t.is(page.length, 64 + 40 * 64);
  t.deepEqual(readShimPage(page), { request: 0, released: 0, ranks: [] });
});

test('ranks are read from their places; a page that says more than it holds is read as far as it goes', (t) => {
  const page = newShimPage(1);
  page.writeUInt32LE(0xffff_ffff, 4);
  page.writeUInt32LE(7, 8);
  page.writeUInt32LE(6, 12);
  for (const [index, word] of [9, 1, 1].entries()) page.writeUInt32LE(word, 64 + 2 * 64 + 4 * index);
  t.deepEqual(readShimPage(page), { request: 7, released: 6, ranks: [{ pid: 9, inside: 1, parked: 1 }] });
});

test('what is no page is none', (t) => {
  t.is(readShimPage(Buffer.alloc(0)), null);
  t.is(readShimPage(Buffer.alloc(4096)), null);
});

test('a rank is parked when all its threads in MPI are', (t) => {
  const ranks = [
    { pid: 1, inside: 1, parked: 1 },
    { pid: 2, inside: 2, parked: 1 },
    { pid: 3, inside: 0, parked: 0 },
    { pid: 4, inside: 1, parked: 0 },
  ];
  t.deepEqual(countRanks(ranks), { parked: 1, inside: 2, outside: 1 });
});
