import { once } from 'node:events';
import { connect as connectPlain, createServer, type Socket } from 'node:net';
import { type Duplex, PassThrough, Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import test from 'ava';
import { z } from 'zod';
import { RankshiftError } from '../errors.ts';
import type { Channel } from './channel.ts';
import { openChannel } from './open-channel.ts';
import { serveChannel } from './serve-channel.ts';
import { silentLog, testCluster, testPair } from './testing.ts';

const cluster = await testCluster();
const n1 = await cluster.issue('n1');
const n2 = await cluster.issue('n2');
test.after.always(() => cluster.remove());
const numbered = z.object({ i: z.number() });
const loopback = '127.0.0.1';

test('each end knows the other, and messages keep their order', async (t) => {
  const { near, far, close } = await testPair(n1, n2);
  t.deepEqual([near.peer, far.peer], ['n2', 'n1']);
  for (let i = 0; i < 100; i++) await near.send({ i });
  for (let i = 0; i < 100; i++) t.is((await far.next(numbered)).i, i);
  await near.close();
  t.is(await far.closed, undefined);
  await t.throwsAsync(far.next(numbered), { code: 'E_LINK' });
  await t.throwsAsync(near.send({}), { code: 'E_LINK' });
  await close();
});

test('requests take turns and errors cross the link', async (t) => {
  const { near, far, close } = await testPair(n1, n2);
  const answering = (async () => {
    for (let i = 0; i < 10; i++) await far.send(await far.next(numbered));
    await far.next(numbered);
    await far.sendError(new RankshiftError('E_TARGET_FULL', 'no space', { phase: 'switching' }));
  })();
  const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => near.request({ i }, numbered)));
  t.deepEqual(
    answers.map(({ i }) => i),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
  await t.throwsAsync(near.request({ i: 10 }, numbered), { code: 'E_TARGET_FULL', message: 'no space' });
  await answering;
  await near.close();
  await close();
});

test('waits end at their deadline and on abort; an unanswered request closes the channel', async (t) => {
  const { near, far, close } = await testPair(n1, n2);
  await t.throwsAsync(near.next(numbered, { timeoutMs: 20 }), { code: 'E_TIMEOUT' });
  await t.throwsAsync(near.next(numbered, { signal: AbortSignal.timeout(20) }), { code: 'E_CANCELLED' });
  await far.send({ i: 1 });
  t.is((await near.next(numbered)).i, 1, 'a wait that ended took nothing away');
  await t.throwsAsync(near.request({ i: 1 }, numbered, { timeoutMs: 20 }), { code: 'E_TIMEOUT' });
  t.is((await near.closed)?.code, 'E_TIMEOUT');
  await close();
});

test('a message of another shape ends the conversation', async (t) => {
  const { near, far, close } = await testPair(n1, n2);
  await near.send({ other: true });
  await t.throwsAsync(far.next(numbered), { code: 'E_LINK', message: /another shape/ });
  t.is((await far.closed)?.code, 'E_LINK');
  await close();
});

test('bulk arrives whole, counted, and messages go on after it', async (t) => {
  const { near, far, close } = await testPair(n1, n2);
  const chunks = [0, 1, 5, 16_384, 1_048_576, 3_000_001].map((size, i) => Buffer.alloc(size, i + 1));
  const total = Buffer.concat(chunks);
  const received: Buffer[] = [];
  const slow = new Writable({
    write(chunk: Buffer, _encoding, done) {
      received.push(chunk);
      setImmediate(done);
    },
  });
  const [sent, came] = await Promise.all([near.pipeIn(Readable.from(chunks)), far.pipeOut(slow)]);
  t.is(sent, total.length);
  t.is(came, total.length);
  t.true(Buffer.concat(received).equals(total));
  await near.send({ i: 7 });
  t.is((await far.next(numbered)).i, 7);
  await near.close();
  await close();
});

test('a source that fails is told to the receiver and leaves the channel usable', async (t) => {
  const { near, far, close } = await testPair(n1, n2);
  async function* failing(): AsyncGenerator<Buffer> {
    yield Buffer.alloc(100_000);
    throw new RankshiftError('E_CRIU', 'dump failed');
  }
  const sending = t.throwsAsync(near.pipeIn(failing()), { code: 'E_CRIU' });
  await t.throwsAsync(far.pipeOut(new PassThrough().resume()), { code: 'E_CRIU', message: 'dump failed' });
  await sending;
  await near.send({ i: 1 });
  t.is((await far.next(numbered)).i, 1);
  await near.close();
  await close();
});

test('a full disk at the receiver reaches the sender with its reason', async (t) => {
  const { near, far, close } = await testPair(n1, n2);
  let taken = 0;
  const full = new Writable({
    write(chunk: Buffer, _encoding, done) {
      taken += chunk.length;
      done(taken > 2_000_000 ? Object.assign(new Error('no space left on device'), { code: 'ENOSPC' }) : null);
    },
  });
  const endless = Readable.from(
    (function* () {
      for (let i = 0; i < 4096; i++) yield Buffer.alloc(262_144);
    })(),
  );
  const receiving = t.throwsAsync(far.pipeOut(full), { code: 'E_TARGET_FULL' });
  await t.throwsAsync(near.pipeIn(endless), { code: 'E_TARGET_FULL', message: /no space left/ });
  await receiving;
  await close();
});

test('a receiver that does not take anything stops the sender, and memory stays bounded', async (t) => {
  const { near, far, close } = await testPair(n1, n2, { pingMs: 40, deadMs: 120 });
  let sent = 0;
  const source = (async function* () {
    for (let i = 0; i < 256; i++) {
      sent += 262_144;
      yield Buffer.alloc(262_144);
    }
  })();
  const sending = near.pipeIn(source);
  await delay(600);
  t.true(sent < 24 * 1024 * 1024, `${sent} bytes went out to nobody`);
  const came = await far.pipeOut(new PassThrough().resume());
  t.is(came, await sending, 'a paused reader is not taken for a cut link');
  await near.close();
  await close();
});

test('raw mode hands over every byte in both directions, and halves end on their own', async (t) => {
  const { near, far, close } = await testPair(n1, n2);
  await near.send({ i: 1 });
  const opening = near.raw().then((raw) => raw.end('to far'));
  t.is((await far.next(numbered)).i, 1);
  await delay(50);
  const farEnd = await far.raw();
  t.is(await readAll(farEnd), 'to far');
  farEnd.end('to near');
  t.is(await readAll(await opening), 'to near');
  t.is(await near.closed, undefined);
  t.is(await far.closed, undefined);
  await close();
});

test('raw mode needs both ends', async (t) => {
  const { near, close } = await testPair(n1, n2);
  await t.throwsAsync(near.raw({ timeoutMs: 50 }), { code: 'E_TIMEOUT' });
  await close();
});

test('an idle channel stays open for many times the dead interval', async (t) => {
  const { near, far, close } = await testPair(n1, n2, { pingMs: 50, deadMs: 150 });
  const first = await Promise.race([near.closed, far.closed, delay(3000, 'open')]);
  t.is(first, 'open');
  await near.send({ i: 1 });
  t.is((await far.next(numbered)).i, 1);
  await near.close();
  await close();
});

test('a silently cut link is noticed by both ends, also in the middle of bulk', async (t) => {
  const liveness = { pingMs: 50, deadMs: 200 };
  const accepted = Promise.withResolvers<Channel>();
  const onChannel = (channel: Channel): void => accepted.resolve(channel);
  const server = await serveChannel({
    host: loopback,
    port: 0,
    credentials: n2,
    onChannel,
    log: silentLog,
    ...liveness,
  });
  const relay = await cuttableRelay(server.port);
  const near = await openChannel({ node: 'n2', address: loopback, port: relay.port, credentials: n1, ...liveness });
  const far = await accepted.promise;
  const endless = (async function* () {
    for (;;) yield Buffer.alloc(65_536);
  })();
  const sending = near.pipeIn(endless);
  const receiving = far.pipeOut(new PassThrough().resume());
  await delay(100);
  const cutAt = performance.now();
  relay.cut();
  await t.throwsAsync(sending, { code: 'E_LINK', message: /no sign of life/ });
  await t.throwsAsync(receiving, { code: 'E_LINK', message: /no sign of life/ });
  // Not by the kernel, which takes minutes.
  t.true(performance.now() - cutAt < 20_000);
  relay.close();
  await server.close();
});

test('who has no valid certificate of this cluster gets nothing', async (t) => {
  const other = await testCluster();
  t.teardown(() => other.remove());
  const stranger = await other.issue('n1');
  const channels: string[] = [];
  const onChannel = (channel: Channel): void => void channels.push(channel.peer);
  const server = await serveChannel({ host: loopback, port: 0, credentials: n2, onChannel, log: silentLog });
  const ended = await cluster.issue('n9', {
    notBefore: new Date(Date.now() - 9e7),
    notAfter: new Date(Date.now() + 1500),
  });
  await delay(2100);
  const trusting = { ...stranger, ca: n2.ca };
  const base = { node: 'n2', address: loopback, port: server.port };
  await t.throwsAsync(
    openChannel({ ...base, credentials: trusting }),
    { code: 'E_LINK', message: /does not accept our/ },
    'another CA',
  );
  await t.throwsAsync(openChannel({ ...base, credentials: ended }), { code: 'E_LINK' }, 'expired');
  await t.throwsAsync(openChannel({ ...base, credentials: stranger }), { code: 'E_LINK' }, 'the server is a stranger');
  t.is(await bytesWithout(server.port, n2.ca), 0, 'no certificate');
  t.is(await bytesPlain(server.port), 0, 'no TLS');
  t.deepEqual(channels, [], 'and no channel was ever made for them');
  await server.close();
});

test('another node of the same cluster cannot pose as the one that was meant', async (t) => {
  const server = await serveChannel({
    host: loopback,
    port: 0,
    credentials: n2,
    onChannel: () => undefined,
    log: silentLog,
  });
  const opening = openChannel({ node: 'n3', address: loopback, port: server.port, credentials: n1 });
  await t.throwsAsync(opening, { code: 'E_LINK', message: /n2 that answers/ });
  await server.close();
  const refused = openChannel({ node: 'n2', address: loopback, port: server.port, credentials: n1 });
  await t.throwsAsync(refused, { code: 'E_LINK', message: /nobody listens/ });
});

/** All of a duplex's incoming half, leaving the other half open (a `for await` would destroy both). */
async function readAll(stream: Duplex): Promise<string> {
  let all = '';
  stream.on('data', (chunk: Buffer) => {
    all += chunk.toString();
  });
  stream.resume();
  await once(stream, 'end');
  return all;
}

test('strangers who connect and stay, or half-close, are dropped and use up no descriptors', async (t) => {
  const quiet = { credentials: n2, onChannel: () => undefined, log: silentLog };
  const server = await serveChannel({ host: loopback, port: 0, handshakeMs: 300, ...quiet });
  const closed: Promise<unknown>[] = [];
  for (let i = 0; i < 10; i++) {
    const socket = connectPlain({ port: server.port, host: loopback, allowHalfOpen: true }).on(
      'error',
      () => undefined,
    );
    await once(socket, 'connect');
    socket.on('end', () => socket.end()).resume();
    if (i % 2 === 0) socket.end();
    closed.push(once(socket, 'close'));
  }
  t.not(await Promise.race([Promise.all(closed), delay(3000, 'still open')]), 'still open');
  const near = await openChannel({ node: 'n2', address: loopback, port: server.port, credentials: n1 });
  t.is(await Promise.race([near.closed, delay(900, 'open')]), 'open', 'a known peer stays beyond that deadline');
  await near.close();
  await server.close();
});

test('who only connects cannot keep the server from closing', async (t) => {
  const server = await serveChannel({
    host: loopback,
    port: 0,
    credentials: n2,
    onChannel: () => undefined,
    log: silentLog,
  });
  const silent = connectPlain(server.port, loopback).on('error', () => undefined);
  await once(silent, 'connect');
  const closing = server.close().then(() => 'closed');
  t.is(await Promise.race([closing, delay(2000, 'hangs')]), 'closed');
});

async function bytesWithout(port: number, ca: string): Promise<number> {
  const socket = connectTls({ host: loopback, port, ca, servername: 'n2', ALPNProtocols: ['rankshift/1'] });
  return countUntilClosed(socket);
}

async function bytesPlain(port: number): Promise<number> {
  const socket = connectPlain(port, loopback, () => socket.write('GET / HTTP/1.0\r\n\r\n'));
  return countUntilClosed(socket, (chunk) => (chunk[0] === 0x15 ? 0 : chunk.length));
}

/** A TLS alert (record type 21) is no answer. */
async function countUntilClosed(socket: Socket, weigh = (chunk: Buffer): number => chunk.length): Promise<number> {
  let count = 0;
  socket.on('data', (chunk: Buffer) => {
    count += weigh(chunk);
  });
  socket.on('error', () => undefined);
  await new Promise((resolve) => socket.once('close', resolve));
  return count;
}

/** A TCP relay that can stop passing anything on without closing, as a pulled cable does. */
async function cuttableRelay(to: number): Promise<{ port: number; cut(): void; close(): void }> {
  const sockets: Socket[] = [];
  const relay = createServer((inner) => {
    const outer = connectPlain(to, loopback);
    for (const socket of [inner, outer]) socket.on('error', () => undefined);
    sockets.push(inner, outer);
    inner.pipe(outer).pipe(inner);
  }).listen(0, loopback);
  await once(relay, 'listening');
  return {
    port: (relay.address() as { port: number }).port,
    cut: () => sockets.forEach((socket) => void socket.unpipe().pause()),
    close: () => {
      for (const socket of sockets) socket.destroy();
      relay.close();
    },
  };
}
