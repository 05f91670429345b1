import type { SwitchOrder } from '../migration/commands.ts';
import { leftBytes } from '../migration/progress.ts';
import type { CopyResult, Progress } from '../migration/record.ts';
import type { Tell } from '../pages/page-source.ts';
import { within } from '../store/connection.ts';
import { writeProgress } from '../store/progress.ts';
import type { AgentContext } from './context.ts';

const questionMs = 2000;

/** Writes how far one round or the freeze is, whenever it is told; the first time now. What is lost was no news. */
export function tellProgress(
  { redis }: AgentContext,
  { migration }: Pick<SwitchOrder, 'migration'>,
  about: Pick<Progress, 'phase' | 'round' | 'ofBytes' | 'bytesPerSecond' | 'dirtyBytesPerSecond'>,
): Tell {
  const since = Date.now();
  const tell: Tell = ({ sentBytes, wireBytes }) => {
    const progress = { ...about, sentBytes, wireBytes, at: Date.now(), since };
    void within(questionMs, writeProgress(redis, migration, progress)).catch(() => undefined);
  };
  tell({ sentBytes: 0, wireBytes: 0 });
  return tell;
}

/** The same of what goes in the freeze, after those rounds, or of all of it. */
export function tellFreeze(context: AgentContext, order: SwitchOrder, copy: CopyResult | null): Tell {
  const rounds = copy?.rounds ?? [];
  return tellProgress(context, order, {
    phase: 'freeze',
    round: rounds.length + 1,
    ofBytes: rounds.length === 0 ? order.memoryBytes : leftBytes(rounds, order.dirtyBytesPerSecond),
    bytesPerSecond: copy?.bytesPerSecond ?? null,
    dirtyBytesPerSecond: null,
  });
}
