import test from 'ava';
import type { Redis } from 'ioredis';
import { newMigration } from '../migration/machine.ts';
import { RecentMoves } from './recent-moves.ts';

const hourMs = 3_600_000;

/** As much of Redis as is asked: records by time, and how many of them were read. */
class Records {
  readonly texts = new Map<string, { at: number; text: string }>();
  read = 0;

  add(container: string, by: string, at: number): void {
    const id = String(this.texts.size + 1);
    const fields = { container, job: Number.parseInt(container, 10), request: { container } };
    const record = newMigration({ id, ...fields, requestedBy: { uid: 0, name: by } } as never, at);
    this.texts.set(`rs:migration:${id}`, { at, text: JSON.stringify(record) });
  }

  get redis(): Redis {
    return {
      zrangebyscore: async (_key: string, from: number) =>
        [...this.texts].filter(([, { at }]) => at >= from).map(([key]) => key.slice('rs:migration:'.length)),
      mget: async (keys: string[]) => {
        this.read += keys.length;
        return keys.map((key) => this.texts.get(key)?.text ?? null);
      },
    } as never;
  }
}

test('moves of the last hour are known, each record is read about once, and what is older is forgotten', async (t) => {
  const records = new Records();
  const moves = new RecentMoves();
  const now = 100 * hourMs;
  records.add('1.0', 'alice', now - 2 * hourMs);
  for (let index = 0; index < 600; index++) records.add(`${index + 2}.0`, 'root', now - hourMs / 2);
  records.add('1.0', 'balancer', now - 1000);
  await moves.read(records.redis, now, hourMs);
  t.is(records.read, 601);
  t.deepEqual(moves.by('balancer'), [now - 1000]);
  t.is(moves.lastOfEach().get('1.0'), now - 1000);
  t.is(moves.lastOfEach().get('5.0'), now - hourMs / 2);
  records.add('5.0', 'balancer', now + 4000);
  // Written late, with a time of before.
  records.add('6.0', 'alice', now - 10);
  await moves.read(records.redis, now + 5000, hourMs);
  t.true(records.read <= 601 + 3);
  t.is(moves.lastOfEach().get('5.0'), now + 4000);
  t.is(moves.lastOfEach().get('6.0'), now - 10);
  await moves.read(records.redis, now + hourMs + 1000, hourMs);
  t.deepEqual(moves.by('balancer'), [now + 4000]);
});
