import { memoryFactor } from '../migration/plan.ts';
import type { Plan } from '../migration/record.ts';
import { heartbeatLately } from '../store/nodes-lately.ts';
import { reserveMemory } from '../store/reservations.ts';
import type { ControllerContext } from './context.ts';

const mib = (bytes: number) => Math.ceil(bytes / 1_048_576);

/**
 * Keeps the memory that a plan counts on for its migration. Two plans may have counted on the same: the later one gets
 * the reason for its refusal.
 */
export async function reserveTarget({ redis }: ControllerContext, migration: string, plan: Plan): Promise<Plan> {
  const { target, memoryBytes } = plan;
  if (plan.reasons.length > 0 || target === null) return plan;
  const availableBytes = (await heartbeatLately(redis, target))?.memoryAvailableBytes ?? 0;
  const bytes = memoryBytes * memoryFactor;
  const others = await reserveMemory(redis, target, migration, { bytes, availableBytes });
  if (others === null) return plan;
  const message = `${target} has ${mib(availableBytes)} MiB of memory available, of which moves under way need ${mib(others)} MiB; ${mib(bytes)} MiB are needed`;
  return { ...plan, reasons: [{ code: 'target-memory', message }] };
}
