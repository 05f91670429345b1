import test from 'ava';
import { RankshiftError } from '../errors.ts';
import { HeldLease } from '../store/leases.ts';
import { luaRedis } from '../store/testing.ts';
import { createLogger } from '../telemetry/logger.ts';
import { withAllocationOf } from './allocation-lock.ts';

async function contextOf() {
  const redis = await luaRedis();
  return { redis, log: createLogger('test', 'silent'), stopping: new AbortController().signal };
}

test('a holder that stood still too long does not act on, but begins anew when the other is done', async (t) => {
  const context = await contextOf();
  const acts: string[] = [];
  let looks = 0;
  await withAllocationOf(context, 42, async (lease) => {
    looks++;
    if (looks === 1) {
      context.redis.pass(5001);
      const other = await HeldLease.take(context.redis, 'allocation-42', 5000);
      acts.push('other');
      await other?.drop();
    }
    await lease.confirm();
    acts.push('mine');
  });
  t.is(looks, 2);
  t.deepEqual(acts, ['other', 'mine']);
});

test('what fails for another reason is not done again', async (t) => {
  const context = await contextOf();
  let looks = 0;
  const failing = withAllocationOf(context, 42, async () => {
    looks++;
    throw new RankshiftError('E_SLURM', 'silent');
  });
  await t.throwsAsync(failing, { code: 'E_SLURM' });
  t.is(looks, 1);
});
