import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Shape } from './shape.ts';

/** A process of the simulation. `NODE_OPTIONS=--cpu-prof` profiles all of them. */
export function startProcess(file: 'agents.ts' | 'controller.ts', shape: Shape): ChildProcess {
  const env = { ...process.env, RANKSHIFT_PATIENCE: String(shape.patience) };
  const execArgv = ['--max-old-space-size=8192'];
  return fork(join(import.meta.dirname, file), [JSON.stringify(shape)], { execArgv, env });
}

/** The next message of a type, after asking for it. @throws Error where the process ends instead. */
export async function answerOf<T extends { type: string }>(
  from: ChildProcess,
  type: T['type'],
  ask?: object,
): Promise<T> {
  const answered = new Promise<T>((resolve, reject) => {
    const take = (message: unknown) => {
      if ((message as T).type !== type) return;
      from.off('message', take);
      resolve(message as T);
    };
    from.on('message', take);
    from.once('exit', (code) => reject(new Error(`a process of the simulation ended: ${code}`)));
  });
  if (ask !== undefined) from.send(ask);
  return await answered;
}

/** Ends a process by closing its channel, so that it may write its profile; by force after 5 s. */
export async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.removeAllListeners('exit');
  const ended = once(child, 'exit');
  if (child.connected) child.disconnect();
  else child.kill('SIGTERM');
  await Promise.race([ended, sleep(5000)]);
  child.kill('SIGKILL');
}
