import { sayAlive, sayGone } from '../store/drivers.ts';
import type { ControllerContext } from './context.ts';

/** What a controller that died had begun is taken up by another one, or by its successor, after so long. */
const aliveMs = 3000;
const renewMs = 1000;

const said = new WeakMap<ControllerContext, Promise<void>>();

/** Says again and again that this controller is alive; resolves when it was said. */
export function stayAlive(context: ControllerContext): Promise<void> {
  const known = said.get(context);
  if (known !== undefined) return known;
  const { redis, instance, log, stopping } = context;
  const first = sayAlive(redis, instance, aliveMs);
  said.set(context, first);
  first.catch(() => said.delete(context));
  const timer = setInterval(() => {
    sayAlive(redis, instance, aliveMs).catch((error: Error) =>
      log.warn({ error: error.message }, 'not said to be alive'),
    );
  }, renewMs);
  stopping.addEventListener('abort', () => {
    clearInterval(timer);
    // Its successor need not wait.
    void sayGone(redis, instance).catch(() => undefined);
  });
  return first;
}
