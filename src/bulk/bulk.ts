import { randomBytes } from 'node:crypto';
import { plainWire, type Wire } from '../migration/wire.ts';
import { patiently } from '../patience.ts';
import { Carrier } from './carrier.ts';

const startMs = patiently(10_000);

/** A key of one transfer, 64 hexadecimal digits: whoever has it may send or take that transfer. */
export const newBulkKey = () => randomBytes(32).toString('hex');

/** First line for the end that sends: the key, and how the bytes go where that is not plainly (src/bulk/stream.h). */
export const senderLine = (key: string, wire: Wire = plainWire) => `${key} ${wire.compression} ${wire.streams}`;

export interface ReceiverOptions {
  /** The static program rankshift-bulk. */
  program: string;
  /** This node's IPv4 address. */
  address: string;
  /** First and last TCP port to try; 0 and 0 takes any free one. */
  ports: readonly [number, number];
  /** IPv4 address of the node that sends. */
  source: string;
  dir: string;
  key: string;
}

export interface Receiver {
  port: number;
  /** Bytes, when all are there. Rejects with E_TARGET_FULL, E_LINK. */
  done: Promise<number>;
  /** Calls it off. */
  drop(): void;
}

/** Starts taking page images into a directory, and returns when it listens. @throws RankshiftError E_LINK, E_MISSING. */
export async function startReceiver(options: ReceiverOptions): Promise<Receiver> {
  const { program, address, ports, source, dir, key } = options;
  const carrier = new Carrier(program, ['receive', address, ...ports.map(String), source, dir], key);
  return { port: await carrier.number(startMs), done: carrier.last(), drop: () => carrier.drop() };
}

export interface SenderOptions {
  program: string;
  address: string;
  port: number;
  dir: string;
  key: string;
  /** @defaultValue one connection, as it is */
  wire?: Wire;
  /** Most to be sent, bytes per second; null for no limit. @defaultValue null */
  bandwidth?: number | null;
}

export interface Sender {
  /** Everything is written: resolves with the bytes when the other end has them all. Rejects with E_LINK. */
  finish(): Promise<number>;
  /** How many bytes have gone, as it says twice a second. */
  sentBytes(): number;
  /** Rejects as soon as the sending fails. */
  failed: Promise<never>;
  drop(): void;
}

/**
 * Starts sending the page images of a directory while CRIU writes them there: pages-1.img, pages-2.img and so on, each
 * whole when the next one exists. Returns when the connection stands. @throws RankshiftError E_LINK, E_MISSING.
 */
export async function startSender(options: SenderOptions): Promise<Sender> {
  const { program, address, port, dir, key, wire, bandwidth = null } = options;
  const limit = bandwidth === null ? [] : [String(Math.ceil(bandwidth))];
  const carrier = new Carrier(program, ['send', address, String(port), dir, ...limit], senderLine(key, wire));
  await carrier.line(startMs);
  const bytes = carrier.last();
  const failed = bytes.then(
    () => new Promise<never>(() => undefined),
    (error: unknown) => Promise.reject(error),
  );
  failed.catch(() => undefined);
  return {
    failed,
    sentBytes: () => carrier.latest,
    finish: () => {
      carrier.write('.');
      return bytes;
    },
    drop: () => carrier.drop(),
  };
}
