/**
 * A process inside one network namespace of a test: a node, which calls the functions of src/network, or a container,
 * which sends and receives. The test drives it over Node's own channel; it ends with the test.
 */
import { createSocket, type Socket } from 'node:dgram';
import { connect, createServer } from 'node:net';
import { z } from 'zod';
import { run } from '../../process/run.ts';
import * as endpoint from '../endpoint.ts';
import * as hold from '../hold.ts';
import * as overlay from '../overlay.ts';
import * as repoint from '../repoint.ts';
import * as sweep from '../sweep.ts';

const port = 4000;
let socket: Socket | undefined;
let received = 0;

/** Answers every datagram that does not itself begin with `re:`, and every byte of a TCP connection. */
async function serve(): Promise<void> {
  const udp = createSocket('udp4');
  udp.on('message', (message, from) => {
    received += 1;
    if (!message.toString().startsWith('re:')) udp.send(`re:${message}`, from.port, from.address, () => undefined);
  });
  const tcp = createServer((client) => client.on('error', () => undefined).pipe(client));
  await new Promise<void>((resolve) => udp.bind(port, resolve));
  await new Promise<void>((resolve) => tcp.listen(port, '0.0.0.0', resolve));
  udp.setBroadcast(true);
  socket = udp;
}

async function send(ip: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await new Promise((resolve) => socket?.send(`${i}`, port, ip, resolve));
  }
}

/** Sends a datagram each millisecond until one is answered; milliseconds, or -1 at the deadline. */
async function untilAnswered(ip: string, deadlineMs: number): Promise<number> {
  const [started, before] = [performance.now(), received];
  while (performance.now() - started < deadlineMs) {
    await send(ip, 1);
    await new Promise((resolve) => setTimeout(resolve, 1));
    if (received > before) return performance.now() - started;
  }
  return -1;
}

/** Ping-pong of one byte over one connection for some time; the longest round trip and how many. */
async function pingPong(ip: string, forMs: number): Promise<{ roundTrips: number; longestMs: number }> {
  const client = connect({ host: ip, port, noDelay: true });
  return new Promise((resolve, reject) => {
    const started = performance.now();
    let [roundTrips, longestMs, last] = [0, 0, 0];
    const again = () => {
      last = performance.now();
      client.write('x');
    };
    client.on('error', reject);
    client.on('connect', again);
    client.on('data', () => {
      const now = performance.now();
      roundTrips += 1;
      longestMs = Math.max(longestMs, now - last);
      if (now - started < forMs) return again();
      client.destroy();
      resolve({ roundTrips, longestMs });
    });
  });
}

const countersSchema = z.tuple([
  z.object({ stats64: z.object({ rx: z.object({ packets: z.number() }), tx: z.object({ packets: z.number() }) }) }),
]);

/** Frames that came in and went out of eth0. */
async function frames(): Promise<{ received: number; sent: number }> {
  const { stdout } = await run('ip', ['-json', '-statistics', 'link', 'show', 'dev', 'eth0']);
  const [{ stats64 }] = countersSchema.parse(JSON.parse(stdout));
  return { received: stats64.rx.packets, sent: stats64.tx.packets };
}

const command = async (file: string, ...args: string[]) => (await run(file, args)).stdout;

/** What a test may call, by name. */
export const calls = {
  ...{ plug: endpoint.plug, unplug: endpoint.unplug, hold: hold.hold, release: hold.release },
  ...{ ensureOverlay: overlay.ensureOverlay, removeOverlay: overlay.removeOverlay },
  ...{ removeOverlayIfUnused: overlay.removeOverlayIfUnused, repoint: repoint.repoint, setPeers: repoint.setPeers },
  ...{ listOurs: sweep.listOurs, removeLeftovers: (keep: string[]) => sweep.removeLeftovers(new Set(keep)) },
  ...{ serve, send, untilAnswered, pingPong, frames, command },
  received: async () => received,
};

process.on('message', async ({ id, name, args }: { id: number; name: keyof typeof calls; args: unknown[] }) => {
  const call = calls[name] as (...args: unknown[]) => Promise<unknown>;
  const started = performance.now();
  try {
    const value = await call(...args);
    process.send?.({ id, value, ms: performance.now() - started });
  } catch (error) {
    process.send?.({ id, error: String(error), ms: performance.now() - started });
  }
});
process.on('disconnect', () => process.exit());
process.send?.({ id: 0 });
