import { readMigration } from '../store/migrations.ts';
import type { ControllerContext } from './context.ts';

const lookMs = 500;

/**
 * Does something long that is broken off when the move is called off.
 * @returns why it failed, or null.
 */
export async function whileWanted(
  { redis }: ControllerContext,
  id: string,
  act: (signal: AbortSignal) => Promise<unknown>,
): Promise<unknown> {
  const unwanted = new AbortController();
  const timer = setInterval(() => {
    readMigration(redis, id).then(
      ({ cancelRequested }) => {
        if (cancelRequested) unwanted.abort();
      },
      () => undefined,
    );
  }, lookMs);
  try {
    await act(unwanted.signal);
    return null;
  } catch (error) {
    return error;
  } finally {
    clearInterval(timer);
  }
}
