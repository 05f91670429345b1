import test from 'ava';
import { silentLog, testCluster } from '../channel/testing.ts';
import { RankshiftError } from '../errors.ts';
import { ApiClient } from './client.ts';
import type { Lines } from './lines.ts';
import { serveApi } from './server.ts';
import { fakeMunge } from './testing.ts';
import type { Conversation } from './upgrade.ts';

const cluster = await testCluster();
const credentials = await cluster.issue('controller');
test.after.always(() => cluster.remove());

let gone = 0;
const echo: Conversation = {
  path: '/v1/echo/:id',
  open: async ({ uid }, { id }) => {
    if (id === 'no') throw new RankshiftError('E_NOT_PERMITTED', `not for ${uid}`);
    return async (lines: Lines) => {
      for await (const value of lines.values()) {
        if (value === 'fail') throw new RankshiftError('E_AGENT', 'it failed');
        if (value === 'end') return;
        await lines.send({ id, value });
      }
      gone += 1;
    };
  },
};

async function talk(path: string): Promise<{ lines: Lines; close(): Promise<void> }> {
  const munge = fakeMunge();
  const server = await serveApi({
    ...{ host: '127.0.0.1', port: 0, credentials, routes: [], conversations: [echo] },
    ...{ decode: munge.decode, log: silentLog },
  });
  const at = { controllerHost: '127.0.0.1', controllerPort: server.port, keyDir: cluster.dir, file: '' };
  const lines = await new ApiClient(at, munge).converse(path).catch(async (error: unknown) => {
    await server.close();
    throw error;
  });
  return { lines, close: () => server.close() };
}

test('values go both ways, characters of several bytes and large ones too, until one side ends', async (t) => {
  const { lines, close } = await talk('/v1/echo/7');
  const values = lines.values();
  for (const value of ['a', 'žluťoučký €', 'x'.repeat(300_000)]) {
    await lines.send(value);
    t.deepEqual((await values.next()).value, { id: '7', value });
  }
  await lines.send('end');
  t.true((await values.next()).done);
  await close();
});

test('a failure arrives as a last value; a refusal and an unknown path as errors of the request', async (t) => {
  const { lines, close } = await talk('/v1/echo/7');
  await lines.send('fail');
  t.like(((await lines.values().next()).value as { error: object }).error, { code: 'E_AGENT' });
  await close();
  await t.throwsAsync(talk('/v1/echo/no'), { code: 'E_NOT_PERMITTED', message: 'not for 1000' });
  await t.throwsAsync(talk('/v1/other'), { code: 'E_BAD_INPUT' });
});

test('a side that goes away ends the other', async (t) => {
  const { lines, close } = await talk('/v1/echo/7');
  const before = gone;
  lines.destroy();
  const deadline = performance.now() + 5000;
  while (gone === before && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
  t.is(gone, before + 1);
  await close();
});
