import { createHmac, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import test from 'ava';
import fc from 'fast-check';
import { buildPrograms, builds, type Container, childrenOf, secret, startContainer, until } from './testing.ts';

test.before(async (t) => {
  t.timeout(180_000);
  await buildPrograms();
});

function hmac(...parts: readonly Buffer[]): Buffer {
  const mac = createHmac('sha256', secret);
  for (const part of parts) mac.update(part);
  return mac.digest();
}

function number(value: number, bytes: 2 | 4): Buffer {
  const buffer = Buffer.alloc(bytes);
  buffer.writeUIntBE(value, 0, bytes);
  return buffer;
}

/** A client written from the description in protocol.h alone. */
class Client {
  socket: Socket;
  received: Buffer = Buffer.alloc(0);
  closed = false;
  private readonly port: number;

  constructor(container: Container) {
    this.port = container.port;
    this.socket = connect(container.port, '127.0.0.1');
    this.socket.on('data', (data: Buffer) => {
      this.received = Buffer.concat([this.received, data]);
    });
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => {
      this.closed = true;
    });
  }

  async hello(): Promise<Buffer> {
    await until(() => this.received.length >= 40 || this.closed, 20_000);
    const nonce = this.received.subarray(8, 40);
    this.received = this.received.subarray(40);
    return nonce;
  }

  request(serverNonce: Buffer, text: Buffer): Buffer {
    const nonce = randomBytes(32);
    const size = number(text.length, 4);
    const label = Buffer.from('rankshift launch request 1\0');
    const server = Buffer.concat([Buffer.from([127, 0, 0, 1]), number(this.port, 2)]);
    return Buffer.concat([nonce, size, hmac(label, server, serverNonce, nonce, size, text), text]);
  }

  /** Frames until the other end hangs up, as type and payload. */
  async frames(): Promise<[string, Buffer][]> {
    await until(() => this.closed, 20_000);
    const frames: [string, Buffer][] = [];
    for (let at = 0; at < this.received.length; ) {
      const length = this.received.readUInt32BE(at + 1);
      frames.push([String.fromCharCode(this.received[at] ?? 0), this.received.subarray(at + 5, at + 5 + length)]);
      at += 5 + length;
    }
    return frames;
  }
}

async function exchange(container: Container, text: string | Buffer, change = (request: Buffer) => request) {
  const client = new Client(container);
  const request = client.request(await client.hello(), Buffer.from(text));
  client.socket.write(change(request));
  return { request, frames: await client.frames() };
}

const refusal = (why: string): [string, Buffer][] => [['R', Buffer.from(why)]];

for (const build of builds) {
  test(`${build}: another implementation of the protocol is served, whatever the length`, async (t) => {
    const container = await startContainer(t, build);
    const accepted = Buffer.from('rankshift launch accepted 1\0');
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 600 }), async (length) => {
        const { request, frames } = await exchange(container, `echo ${'x'.repeat(length)}`);
        const proof = hmac(accepted, request.subarray(36, 68));
        t.deepEqual(frames, [
          ['A', proof],
          ['O', Buffer.from(`${'x'.repeat(length)}\n`)],
          ['X', number(0, 4)],
        ]);
      }),
      { numRuns: 40 },
    );
  });

  test(`${build}: a request may arrive byte by byte`, async (t) => {
    const container = await startContainer(t, build);
    const client = new Client(container);
    client.socket.setNoDelay(true);
    for (const byte of client.request(await client.hello(), Buffer.from('exit 5'))) {
      await new Promise((resolve) => client.socket.write(Buffer.from([byte]), resolve));
    }
    t.deepEqual((await client.frames()).at(-1), ['X', number(5, 4)]);
  });

  test(`${build}: any changed byte is refused, a replay too`, async (t) => {
    const container = await startContainer(t, build);
    const text = 'touch ran';
    const { request } = await exchange(container, 'exit 0');
    const replay = await exchange(container, 'unused', () => request);
    t.deepEqual(replay.frames, refusal('wrong secret'));
    for (const at of [0, 31, 36, 67, 68, 68 + text.length - 1]) {
      const { frames } = await exchange(container, text, (whole) => {
        whole[at] = (whole[at] ?? 0) ^ 1;
        return whole;
      });
      t.deepEqual(frames, refusal('wrong secret'), `byte ${at}`);
    }
    t.false(existsSync(container.file('ran')));
  });

  test(`${build}: the longest request is served, a longer one, an empty one and one with NUL are refused`, async (t) => {
    const container = await startContainer(t, build);
    const longest = `exit 9 #${'x'.repeat(128 * 1024 - 1 - 8)}`;
    t.deepEqual((await exchange(container, longest)).frames.at(-1), ['X', number(9, 4)]);
    t.deepEqual((await exchange(container, `${longest}y`)).frames, refusal('the command is too long'));
    t.deepEqual((await exchange(container, '')).frames, refusal('the command is empty'));
    t.deepEqual((await exchange(container, 'exit 0\0')).frames, refusal('the command has a NUL byte'));
    const huge = await exchange(container, 'x', (whole) =>
      Buffer.concat([whole.subarray(0, 32), Buffer.alloc(36, 255)]),
    );
    t.deepEqual(huge.frames, refusal('the command is too long'));
  });

  test(`${build}: half-open clients neither stay nor keep others out`, async (t) => {
    t.timeout(60_000);
    const container = await startContainer(t, build);
    const alone = new Client(container);
    await alone.hello();
    const since = performance.now();
    await until(() => alone.closed, 15_000);
    const stayed = performance.now() - since;
    t.true(stayed > 9000 && stayed < 12_000, `${stayed}`);
    const crowd = Array.from({ length: 64 }, () => new Client(container));
    for (const client of crowd) await client.hello();
    crowd[0]?.socket.write(Buffer.alloc(50));
    const served = await container.rsh(['127.0.0.1', 'echo served']).ended;
    t.like(served, { code: 0, stdout: 'served\n' });
    t.true(served.ms < 4000, `${served.ms}`);
    await until(() => crowd.every((client) => client.closed));
    t.deepEqual(childrenOf(container.pid), []);
  });
}
