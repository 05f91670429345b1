import type { Redis } from 'ioredis';
import { RankshiftError } from '../errors.ts';
import { scriptNamed } from './connection.ts';

/** How long Redis may take to sync its append-only file. */
const syncMs = 5000;

/**
 * Runs one of our Lua scripts and waits until its writes are in the append-only file and synced (WAITAOF, Redis 7.2; it
 * waits for the writes of the connection that asks). Both go out in one pipeline: where the connection breaks between the
 * two answers, ioredis rejects the second instead of asking it on a new connection, on which nothing was written. On an
 * older server `appendfsync always`, which the controller checks at its start, is the guarantee.
 * @throws RankshiftError E_REDIS where it is not known whether the write is durable: run it again.
 */
export async function durableScript(redis: Redis, name: string, ...args: (string | number)[]): Promise<unknown> {
  const { text, keys } = scriptNamed(name);
  const answers = await redis
    .pipeline()
    .eval(text, keys, ...args.map(String))
    .call('WAITAOF', '1', '0', String(syncMs))
    .exec();
  const [ran, synced] = answers ?? [];
  if (ran === undefined || synced === undefined) throw new RankshiftError('E_REDIS', 'Redis gave no answer');
  if (ran[0] !== null) throw ran[0];
  const [failure, counts] = synced;
  if (failure !== null && !/unknown command/i.test(failure.message)) {
    throw new RankshiftError('E_REDIS', `it is not known whether Redis kept the decision: ${failure.message}`);
  }
  if (failure === null && (!Array.isArray(counts) || counts[0] !== 1)) {
    throw new RankshiftError('E_REDIS', `Redis did not sync its append-only file within ${syncMs} ms`);
  }
  return ran[1];
}
