import { randomUUID } from 'node:crypto';
import { noteAttached, noteDetached } from '../store/attached.ts';
import type { ControllerContext } from './context.ts';

/** Of a controller that died with the connection: less than a look for runs that have ended (watch-runs.ts). */
const keptMs = 12_000;
const renewMs = 4000;

/**
 * Says that a `rankshift run` reads the output of its job here, to the other controllers too: it is to end the run itself.
 * @returns ends it.
 */
export async function stayAttached(
  { redis, log }: Pick<ControllerContext, 'redis' | 'log'>,
  job: number,
): Promise<() => Promise<void>> {
  const who = randomUUID();
  const note = () => noteAttached(redis, job, who, keptMs);
  await note();
  let last: Promise<unknown> = Promise.resolve();
  const timer = setInterval(() => {
    last = note().catch((error: Error) => log.warn({ job, error: error.message }, 'not noted who reads the output'));
  }, renewMs);
  return async () => {
    clearInterval(timer);
    // Not before a note that is still on its way.
    await last;
    await noteDetached(redis, job, who).catch(() => undefined);
  };
}
