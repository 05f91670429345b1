import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { pino } from 'pino';
import { type HookEvent, watchSpool } from './spool.ts';

const log = pino({ level: 'silent' });
const scratch = mkdtempSync(join(tmpdir(), 'rankshift-spool-'));
test.after.always(() => rmSync(scratch, { recursive: true }));

let directories = 0;
function spool(): string {
  directories += 1;
  const dir = join(scratch, `s${directories}`);
  mkdirSync(dir);
  return dir;
}

function note(dir: string, event: string, job: number, at: number): void {
  const text = { version: 1, event, job, uid: 1000, user: 'alice', nodes: 'n[1-2]', node: 'n1', cluster: 'c', at };
  writeFileSync(join(dir, `${event}-${job}-${at}000000.json`), JSON.stringify(text));
}

/** Watches until `count` events were seen (bounded), then stops. */
async function collect(
  dir: string,
  count: number,
  act: () => Promise<void> | void = () => undefined,
  onEvent: (event: HookEvent) => void = () => undefined,
  pollMs = 60_000,
): Promise<HookEvent[]> {
  const seen: HookEvent[] = [];
  const stop = new AbortController();
  const watching = watchSpool(
    dir,
    async (event) => {
      onEvent(event);
      seen.push(event);
    },
    { log, signal: stop.signal, pollMs },
  );
  await act();
  for (let turn = 0; turn < 200 && seen.length < count; turn += 1) await sleep(10);
  await sleep(30);
  stop.abort();
  await watching;
  return seen;
}

const names = (events: HookEvent[]) => events.map(({ event, job }) => `${event} ${job}`);
const left = (dir: string) => readdirSync(dir).filter((name) => name !== 'bad');

test('notes left while nobody watched come first, oldest first', async (t) => {
  const dir = spool();
  note(dir, 'epilog', 1, 2000);
  note(dir, 'prolog', 1, 1000);
  note(dir, 'prolog', 2, 999);
  const seen = await collect(dir, 3);
  t.deepEqual(names(seen), ['prolog 2', 'prolog 1', 'epilog 1']);
  t.deepEqual(seen[0]?.nodes, ['n1', 'n2']);
  t.deepEqual(left(dir), []);
});

test('a new note is seen at once, without the poll', async (t) => {
  const dir = spool();
  const seen = await collect(dir, 1, async () => {
    await sleep(50);
    note(dir, 'prolog', 5, 1);
  });
  t.deepEqual(names(seen), ['prolog 5']);
});

test('what is no note goes to bad, drafts are left alone', async (t) => {
  const dir = spool();
  writeFileSync(join(dir, 'prolog-3-1.json'), '{"version":1,');
  writeFileSync(join(dir, 'prolog-4-1.json'), '{"version":2}');
  writeFileSync(join(dir, '.prolog-5-1.77'), '{"ver');
  note(dir, 'prolog', 6, 2);
  t.deepEqual(names(await collect(dir, 1)), ['prolog 6']);
  t.deepEqual(readdirSync(join(dir, 'bad')).sort(), ['prolog-3-1.json', 'prolog-4-1.json']);
  t.deepEqual(left(dir), ['.prolog-5-1.77']);
});

test('a failed event stays, holds back later ones of its job only, and is tried again', async (t) => {
  const dir = spool();
  note(dir, 'prolog', 1, 1);
  note(dir, 'epilog', 1, 2);
  note(dir, 'prolog', 2, 3);
  let failures = 0;
  const failOnce = (event: HookEvent) => {
    if (event.job === 1 && failures++ === 0) throw new Error('Redis is away');
  };
  const seen = await collect(dir, 3, undefined, failOnce, 50);
  t.deepEqual(names(seen), ['prolog 2', 'prolog 1', 'epilog 1']);
  t.deepEqual(left(dir), []);
});

test('a directory that does not exist is made; one that is removed and made again is found by the poll', async (t) => {
  const dir = join(scratch, 'late');
  const act = async () => {
    for (let looks = 0; !existsSync(dir) && looks < 500; looks++) await sleep(20);
    t.true(existsSync(dir));
    rmSync(dir, { recursive: true });
    mkdirSync(dir);
    note(dir, 'prolog', 9, 1);
    await sleep(150);
    note(dir, 'epilog', 9, 2);
  };
  t.deepEqual(names(await collect(dir, 2, act, undefined, 40)), ['prolog 9', 'epilog 9']);
});
