import test from 'ava';
import { parseDecoded } from './munge.ts';

const head = 'STATUS:          0\nENCODE_TIME:     1795229177\nUID:             65534\nGID:             100\n';

test('what unmunge prints is read, and the payload kept as it was', (t) => {
  const expected = { uid: 65534, gid: 100, encodedAt: 1795229177000 };
  t.deepEqual(parseDecoded(`${head}\nabc`), { ...expected, payload: 'abc' });
  t.deepEqual(parseDecoded(`${head}\na\n\nUID: 0\n`), { ...expected, payload: 'a\n\nUID: 0\n' });
  t.deepEqual(parseDecoded(`${head}\n`), { ...expected, payload: '' });
});

test('anything but a good status names nobody', (t) => {
  const bad = { code: 'E_BAD_CREDENTIAL' };
  for (const text of [
    '',
    'abc',
    head,
    head.replace('0', '17').concat('\nabc'),
    head.replace(/UID.*\n/, '').concat('\nabc'),
  ]) {
    t.throws(() => parseDecoded(text), bad, JSON.stringify(text));
  }
});
