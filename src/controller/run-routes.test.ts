import test from 'ava';
import type { ApiRequest } from '../api/route.ts';
import type { Credentials } from '../channel/credentials.ts';
import { forgetExit, noteExit } from '../store/exits.ts';
import { luaRedis } from '../store/testing.ts';
import type { ControllerContext } from './context.ts';
import { runRoutes } from './run-routes.ts';

test('whoever was cut off before the exit code came gets it from the next controller, and nobody else', async (t) => {
  const redis = await luaRedis();
  // The controller before has taken the run down, and died before it could say how it ended.
  await noteExit(redis, { job: 42, run: 'aa', uid: 1000, code: 7 });
  const output = (uid: number, job: number) => {
    const who = async () => ({ uid, name: 'somebody', admin: false });
    const routes = runRoutes({ redis } as unknown as ControllerContext, {} as Credentials, who);
    const route = routes.find(({ path }) => path.endsWith('/output'));
    const request = { params: { job: String(job) }, query: {} } as unknown as ApiRequest<unknown, unknown>;
    return Promise.resolve(route?.handle(request)) as Promise<AsyncIterable<unknown>>;
  };
  t.deepEqual(await Array.fromAsync(await output(1000, 42)), [{ type: 'exit', code: 7 }]);
  await t.throwsAsync(output(1001, 42), { code: 'E_NOT_PERMITTED' });
  await t.throwsAsync(output(1000, 43), { code: 'E_UNKNOWN_JOB' });
  await forgetExit(redis, 42);
  await t.throwsAsync(output(1000, 42), { code: 'E_UNKNOWN_JOB' });
});
