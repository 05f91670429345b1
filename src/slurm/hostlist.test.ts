import test from 'ava';
import fc from 'fast-check';
import { RankshiftError } from '../errors.ts';
import { expandHostlist, foldHostlist, mostNames } from './hostlist.ts';

/** Right-hand sides are what `scontrol show hostnames` of Slurm 24.11.5 printed. */
const expanded: [string, string][] = [
  ['n[1-4,7]', 'n1 n2 n3 n4 n7'],
  ['n[010-012]', 'n010 n011 n012'],
  ['n[08-10,7]', 'n08 n09 n10 n7'],
  ['n[1-2]-ib', 'n1-ib n2-ib'],
  ['n[1-2]m[03-04]', 'n1m03 n1m04 n2m03 n2m04'],
  ['n[1-2]3', 'n13 n23'],
  ['n[1-2,2]', 'n1 n2 n2'],
  ['a,b \tc', 'a b c'],
  ['n[1-2],,m', 'n1 n2 m'],
  [',n1', 'n1'],
  ['', ''],
];

for (const [list, names] of expanded) {
  test(`expands '${list}'`, (t) => {
    t.is(expandHostlist(list).join(' '), names);
  });
}

const refused: [string, RegExp][] = [
  ['n[3-1]', /position 3: range '3-1' runs backwards/],
  ['n[1', /position 2: '\[' is never closed/],
  ['n[]', /position 3: '' is neither/],
  ['n[1,]', /position 5: '' is neither/],
  ['n[-3]', /position 3: '-3' is neither/],
  ['n[a-b]', /position 3: 'a-b' is neither/],
  ['n[1-[2]]', /position 3/],
  ['n1]', /position 3: unexpected '\]'/],
  ['n1,m;rm', /position 5: unexpected ';'/],
  ['n[1-100001]', /more than 100000 names/],
  ['n[1-1000][1-1000]', /position 1: stands for more than 100000/],
  ['n[1-60000],m[1-60000]', /position 12: stands for more than 100000/],
  ['n[1-9999999999999999]', /too large/],
];

for (const [list, message] of refused) {
  test(`refuses '${list}'`, (t) => {
    const error = t.throws(() => expandHostlist(list), { instanceOf: RankshiftError });
    t.is(error.code, 'E_BAD_INPUT');
    t.regex(error.message, message);
  });
}

test('takes exactly the most names', (t) => {
  t.is(expandHostlist(`n[1-${mostNames}]`).length, mostNames);
});

const folded: [string, string][] = [
  ['n3,n1,n2,n2', 'n[1-3]'],
  ['n9,n10,n09', 'n9,n[09-10]'],
  ['n9,n10,n11', 'n[9-11]'],
  ['n009,n10', 'n009,n10'],
  ['login,n7', 'login,n7'],
  ['n1m1,n1m2', 'n1m[1-2]'],
  ['n0,n1', 'n[0-1]'],
  ['7,8', '[7-8]'],
];

for (const [names, list] of folded) {
  test(`folds ${names}`, (t) => {
    t.is(foldHostlist(names.split(',')), list);
  });
}

const hostName = fc
  .tuple(fc.stringMatching(/^[a-z]{1,3}-?[0-9]{0,2}[a-z]?$/), fc.stringMatching(/^[0-9]{0,4}$/))
  .map(([prefix, number]) => `${prefix}${number}`);

test('what was folded expands to the same set', (t) => {
  fc.assert(
    fc.property(fc.array(hostName, { maxLength: 40 }), (names) => {
      const back = expandHostlist(foldHostlist(names));
      t.deepEqual(back.toSorted(), [...new Set(names)].toSorted());
    }),
    { numRuns: 500 },
  );
  t.pass();
});

test('folding twice changes nothing, and any text either expands or is refused', (t) => {
  fc.assert(
    fc.property(fc.stringMatching(/^[n0-9[\],-]{0,20}$/), (text) => {
      try {
        const list = foldHostlist(expandHostlist(text));
        t.is(foldHostlist(expandHostlist(list)), list);
      } catch (error) {
        t.true(error instanceof RankshiftError && error.code === 'E_BAD_INPUT', String(error));
      }
    }),
    { numRuns: 1000 },
  );
  t.pass();
});
