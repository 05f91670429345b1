import { gangOf } from '../migration/gang.ts';
import type { MigrationRecord } from '../migration/record.ts';
import { leaveGang } from '../store/gangs.ts';
import { freeSlot } from '../store/turns.ts';
import type { ControllerContext } from './context.ts';
import { turnTaker } from './turn-taker.ts';

/** Gives back a move's place among the moves, and among those that would freeze with it. */
export async function letGo(context: ControllerContext, record: MigrationRecord): Promise<void> {
  await freeSlot(context.redis, record.id);
  turnTaker(context).changed();
  await goAlone(context, record);
}

/** Those that would freeze with it wait for it no more. */
export async function goAlone(
  { redis }: Pick<ControllerContext, 'redis'>,
  record: Pick<MigrationRecord, 'id' | 'request' | 'job'>,
): Promise<void> {
  const gang = gangOf(record);
  if (gang !== null) await leaveGang(redis, gang, record.id);
}
