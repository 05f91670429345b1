import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { z } from 'zod';
import { serveChannel } from '../channel/serve-channel.ts';
import { silentLog, testCluster } from '../channel/testing.ts';
import { RankshiftError } from '../errors.ts';
import { ApiClient } from './client.ts';
import { credentialPayload } from './credential-payload.ts';
import { findRoute, type Route, route } from './route.ts';
import { serveApi } from './server.ts';
import { fakeMunge } from './testing.ts';

const host = '127.0.0.1';
const cluster = await testCluster();
const credentials = await cluster.issue('controller');
const node = await cluster.issue('n1');

let streamsEnded = 0;
let produced = 0;
const routes: Route[] = [
  route({ method: 'GET', path: '/v1/who', handle: async ({ identity }) => ({ identity }) }),
  route({
    method: 'POST',
    path: '/v1/things/:id',
    body: z.strictObject({ size: z.number().int() }),
    query: z.object({ limit: z.coerce.number().default(5) }),
    handle: async ({ params, body, query }) => ({ id: params['id'], size: body.size, limit: query.limit }),
  }),
  route({ method: 'DELETE', path: '/v1/things/:id', handle: async () => ({}) }),
  route({
    method: 'GET',
    path: '/v1/refused',
    handle: async () => {
      throw new RankshiftError('E_REFUSED', 'too small', { lines: ['memory: 1 of 2 GiB'], action: 'Take another.' });
    },
  }),
  route({
    method: 'GET',
    path: '/v1/broken',
    handle: async () => {
      throw new TypeError('secret /etc/path');
    },
  }),
  route({ method: 'GET', path: '/v1/slow', handle: () => delay(5000, {}) }),
  route({
    method: 'GET',
    path: '/v1/stream',
    query: z.object({ kind: z.enum(['three', 'fails', 'endless', 'big']) }),
    handle: ({ query, signal }) => elements(query.kind, signal),
  }),
];

async function* elements(kind: string, signal: AbortSignal): AsyncGenerator<unknown> {
  try {
    for (let i = 0; kind === 'endless' || kind === 'big' || i < 3; i++) {
      if (kind === 'endless') await delay(5, undefined, { signal });
      produced += 1;
      yield kind === 'big' ? 'x'.repeat(100_000) : { i };
    }
    if (kind === 'fails') throw new RankshiftError('E_REDIS', 'gone');
  } finally {
    streamsEnded += 1;
  }
}

const munge = fakeMunge();
const server = await serveApi({ host, port: 0, credentials, routes, decode: munge.decode, log: silentLog });
test.after.always(async () => {
  await server.close();
  cluster.remove();
});
const config = {
  controllerHost: host,
  controllerPort: server.port,
  keyDir: cluster.dir,
  file: '/etc/rankshift/rankshift.conf',
};
const client = new ApiClient(config, { encode: munge.encode });

test('an answer says its schema, and munge says who asks', async (t) => {
  t.deepEqual(await client.get('/v1/who'), { schema: 1, identity: { uid: 1000, gid: 100 } });
  const root = new ApiClient(config, { encode: fakeMunge(0).encode });
  t.like(await root.get('/v1/who'), { identity: { uid: 0 } });
});

test('params, body and query reach the handler as their schemas read them', async (t) => {
  const answer = await client.post('/v1/things/a%2Fb?limit=7', { size: 3 });
  t.deepEqual(answer, { schema: 1, id: 'a/b', size: 3, limit: 7 });
  t.like(await client.post('/v1/things/x', { size: 3 }), { limit: 5 });
  t.deepEqual(await client.delete('/v1/things/x'), { schema: 1 });
});

test('bad input is named', async (t) => {
  await t.throwsAsync(client.post('/v1/things/x', { size: 'big' }), { code: 'E_BAD_INPUT', message: /body\.size/ });
  await t.throwsAsync(client.post('/v1/things/x', { size: 1, more: 1 }), { code: 'E_BAD_INPUT' });
  await t.throwsAsync(client.get('/v1/stream?kind=no'), { code: 'E_BAD_INPUT' });
  await t.throwsAsync(client.get('/v1/nothing'), { code: 'E_BAD_INPUT', message: /knows no GET \/v1\/nothing/ });
  const huge = { size: 1, pad: 'x'.repeat(1_100_000) };
  await t.throwsAsync(client.post('/v1/things/x', huge), { code: 'E_BAD_INPUT', message: /longer than/ });
});

test('an error arrives as it was thrown; a fault of ours shows nothing of itself', async (t) => {
  const refused = await t.throwsAsync<RankshiftError>(client.get('/v1/refused'), {
    code: 'E_REFUSED',
    message: 'too small',
  });
  t.deepEqual(refused?.details.lines, ['memory: 1 of 2 GiB']);
  t.is(refused?.action, 'Take another.');
  const fault = await t.throwsAsync(client.get('/v1/broken'), { code: 'E_INTERNAL' });
  t.false(fault?.message.includes('secret'));
});

test('a credential is good for one request, as it was made, once', async (t) => {
  const nonce = 'n';
  const sign = (method: string, path: string, body: string) =>
    munge.encode(credentialPayload(method, path, body, nonce));
  const path = '/v1/things/x';
  const body = '{"size":1}';
  const send = (credential: string, sent = body, sentPath = path, sentNonce = nonce, method = 'POST') =>
    rawStatus(method, sentPath, sent, { authorization: `MUNGE ${credential}`, 'rankshift-nonce': sentNonce });
  const good = await sign('POST', path, body);
  t.is(await send(good), 200);
  t.is(await send(good), 401, 'replayed');
  t.is(await send(await sign('POST', path, body), '{"size":2}'), 401, 'another body');
  t.is(await send(await sign('POST', path, body), body, '/v1/things/y'), 401, 'another path');
  t.is(await send(await sign('POST', path, body), body, `${path}?limit=9`), 401, 'another query');
  t.is(await send(await sign('POST', path, body), body, path, 'other'), 401, 'another nonce');
  t.is(await send(await sign('POST', path, ''), '', path, nonce, 'DELETE'), 401, 'another method');
  t.is(await rawStatus('POST', path, body, {}), 401, 'none');
  t.is(
    await rawStatus('POST', path, body, { authorization: 'Basic eDp5', 'rankshift-nonce': 'n' }),
    401,
    'another scheme',
  );
});

test.serial('a stream arrives element by element, and its failure too', async (t) => {
  const seen: unknown[] = [];
  for await (const element of client.stream('/v1/stream?kind=three')) seen.push(element);
  t.deepEqual(seen, [{ i: 0 }, { i: 1 }, { i: 2 }]);
  const failing = async (): Promise<void> => {
    for await (const element of client.stream('/v1/stream?kind=fails')) seen.push(element);
  };
  await t.throwsAsync(failing(), { code: 'E_REDIS', message: 'gone' });
  t.is(seen.length, 6);
});

test.serial('a client that leaves ends the stream at the server', async (t) => {
  const before = streamsEnded;
  for await (const _ of client.stream('/v1/stream?kind=endless')) break;
  for (let i = 0; i < 100 && streamsEnded === before; i++) await delay(20);
  t.is(streamsEnded, before + 1);
});

test.serial('a client that does not read stops the producer', async (t) => {
  const before = produced;
  const slow = client.stream('/v1/stream?kind=big');
  await slow.next();
  await delay(400);
  const after = produced - before;
  await delay(300);
  t.is(produced - before, after, 'nothing more was produced');
  t.true(after < 300, `${after} elements of 100 kB`);
  await slow.return();
});

test('a stream that is cut off does not pass for one that ended', async (t) => {
  const own = await serveApi({ host, port: 0, credentials, routes, decode: munge.decode, log: silentLog });
  const other = new ApiClient({ ...config, controllerPort: own.port }, { encode: munge.encode });
  const reading = async (): Promise<void> => {
    let closing: Promise<void> | undefined;
    for await (const _ of other.stream('/v1/stream?kind=endless')) closing ??= own.close();
    await closing;
  };
  await t.throwsAsync(reading(), { code: 'E_SERVICE' });
});

test('what keeps the controller from being asked is said plainly', async (t) => {
  const at = (change: object) => new ApiClient({ ...config, ...change }, { encode: munge.encode });
  const stranger = await testCluster();
  const empty = mkdtempSync(join(tmpdir(), 'rankshift-test-'));
  t.teardown(() => {
    stranger.remove();
    rmSync(empty, { recursive: true });
  });
  const service = 'E_SERVICE';
  await t.throwsAsync(at({ controllerPort: 1 }).get('/v1/who'), { code: service, message: /no controller listens/ });
  await t.throwsAsync(at({ controllerHost: 'no.such.invalid' }).get('/v1/who'), {
    code: service,
    message: /not known|failed/,
  });
  await t.throwsAsync(at({ keyDir: stranger.dir }).get('/v1/who'), { code: service, message: /not issued by the CA/ });
  await t.throwsAsync(at({ keyDir: empty }).get('/v1/who'), { code: 'E_CONFIG', message: /ca\.pem/ });
  writeFileSync(join(empty, 'ca.pem'), 'nonsense');
  await t.throwsAsync(at({ keyDir: empty }).get('/v1/who'), { instanceOf: RankshiftError });
  await t.throwsAsync(client.get('/v1/slow', { timeoutMs: 50 }), { code: service, message: /within 50 ms/ });
  await t.throwsAsync(client.get('/v1/slow', { signal: AbortSignal.timeout(50) }), { code: 'E_CANCELLED' });
});

test('a node of the cluster cannot pose as the controller', async (t) => {
  const posing = await serveApi({ host, port: 0, credentials: node, routes, decode: munge.decode, log: silentLog });
  const asking = new ApiClient({ ...config, controllerPort: posing.port }, { encode: munge.encode });
  await t.throwsAsync(asking.get('/v1/who'), { code: 'E_SERVICE', message: /calls itself n1/ });
  await posing.close();
  const agent = await serveChannel({ host, port: 0, credentials: node, onChannel: () => undefined, log: silentLog });
  const wrong = new ApiClient({ ...config, controllerPort: agent.port }, { encode: munge.encode });
  await t.throwsAsync(wrong.get('/v1/who'), { code: 'E_SERVICE' });
  await agent.close();
});

test('routes match whole paths only', (t) => {
  t.deepEqual(findRoute(routes, 'POST', '/v1/things/7').params, { id: '7' });
  for (const path of [
    '/v1/things',
    '/v1/things/',
    '/v1/things/7/8',
    '/v1/things/%zz',
    '/V1/things/7',
    '//v1/things/7',
  ]) {
    t.throws(() => findRoute(routes, 'POST', path), { code: 'E_BAD_INPUT' }, path);
  }
});

function rawStatus(method: string, path: string, body: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const options = {
      host,
      port: server.port,
      method,
      path,
      agent: false,
      ca: credentials.ca,
      servername: 'controller',
    };
    const length = { 'content-length': String(Buffer.byteLength(body)) };
    httpsRequest({ ...options, headers: { ...headers, ...length } }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on('error', reject)
      .end(body);
  });
}
