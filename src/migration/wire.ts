import { z } from 'zod';
import type { LinkFacts } from './record.ts';

export const compressionSchema = z.enum(['none', 'lz4', 'zstd']);
export type Compression = z.infer<typeof compressionSchema>;
export const mostStreams = 16;
export const streamsSchema = z.number().int().min(1).max(mostStreams);

/** How a container's memory goes over the link. */
export const wireSchema = z.strictObject({ compression: compressionSchema, streams: streamsSchema });
export type Wire = z.infer<typeof wireSchema>;

export const plainWire: Wire = { compression: 'none', streams: 1 };

/** What a compressor makes of a sample of a container's pages: bytes before for one after, and bytes before per second. */
export const packingSchema = z.object({ ratio: z.number().min(1), bytesPerSecond: z.number().positive() });
export type Packing = z.infer<typeof packingSchema>;
export const packingsSchema = z.object({ lz4: packingSchema, zstd: packingSchema });
export type Packings = z.infer<typeof packingsSchema>;

/** With how many connections a link was measured besides one. */
export const severalStreams = 4;

export interface WireFacts {
  /** Null where it was not measured. */
  link: Pick<LinkFacts, 'roundTripMs' | 'bytesPerSecond' | 'severalBytesPerSecond'> | null;
  packings: Packings | null;
  /** What may be taken of the link at most, bytes per second; null for all of it. */
  limitBytesPerSecond: number | null;
  wanted: { compression: Compression | 'auto'; streams: number | 'auto' };
}

export interface WireChoice extends Wire {
  /** Why, for people. */
  why: string;
  /** Bytes of pages per byte on the wire. */
  ratio: number;
  /** Bytes of pages per second that go without a limit; null where the link was not measured. */
  bytesPerSecond: number | null;
}

/** What one processor encrypts and hands to the kernel, bytes per second: 1 GiB took 1.0 s (docs/field-notes.md). */
const pathBytesPerSecond = 1e9;
/** Compressing takes processor time from the ranks: it must bring as much more as this. */
const worthwhile = 1.15;
/** So much more must several connections bring before they count: less is noise. */
const severalWorthwhile = 1.25;
/** Several that bring so much of their number times one have not found the link's end. */
const unfilled = 0.9;

/**
 * Compression and number of connections: as asked for, else what carries most pages per second.
 *
 * A frame is compressed, encrypted and handed to the kernel by one thread, while the kernel sends earlier ones, so
 *   pages per second = min(R r, 1 / (1 / C + 1 / (r P)))
 * with R the link's (or the limit's) bytes per second, r and C ratio and speed of the compressor on this memory, P what
 * one processor encrypts.
 */
export function chooseWire({ link, packings, limitBytesPerSecond, wanted }: WireFacts): WireChoice {
  const streams = chooseStreams(link, wanted.streams);
  if (link === null) {
    const compression = wanted.compression === 'auto' ? 'none' : wanted.compression;
    return { compression, streams: streams.count, why: 'the link was not measured', ratio: 1, bytesPerSecond: null };
  }
  const free = throughput(link, streams.count);
  const limited = Math.min(free, limitBytesPerSecond ?? free);
  const carried = (compression: Compression, wire: number) => pagesPerSecond(wire, packings, compression);
  const best = compressionSchema.options.reduce((one, other) =>
    carried(other, limited) > carried(one, limited) * (one === 'none' ? worthwhile : 1) ? other : one,
  );
  const compression = wanted.compression === 'auto' ? best : wanted.compression;
  const rates = compressionSchema.options.map((one) => `${one} ${rate(carried(one, limited))}`).join(', ');
  const reason = [
    wanted.compression !== 'auto'
      ? 'compression as asked for'
      : packings === null
        ? 'the memory was not looked at'
        : `pages per second: ${rates}`,
    ...(streams.why === '' ? [] : [streams.why]),
  ].join('; ');
  return {
    compression,
    streams: streams.count,
    why: reason,
    ratio: ratioOf(packings, compression),
    bytesPerSecond: carried(compression, free),
  };
}

/** Bytes of pages per second over a link that takes so many bytes. */
export function pagesPerSecond(
  wireBytesPerSecond: number,
  packings: Packings | null,
  compression: Compression,
): number {
  if (compression === 'none' || packings === null) return wireBytesPerSecond;
  const { ratio, bytesPerSecond } = packings[compression];
  const processor = 1 / (1 / bytesPerSecond + 1 / (ratio * Math.max(pathBytesPerSecond, wireBytesPerSecond)));
  return Math.min(wireBytesPerSecond * ratio, processor);
}

function ratioOf(packings: Packings | null, compression: Compression): number {
  return compression === 'none' ? 1 : (packings?.[compression].ratio ?? 1);
}

/**
 * As many connections as the bandwidth-delay product holds of what one keeps in flight. With B what several carry, b what
 * one does, t the round trip: ceil(B t / b t), twice that where they have not found the link's end.
 */
function chooseStreams(link: WireFacts['link'], wanted: number | 'auto'): { count: number; why: string } {
  if (wanted !== 'auto') return { count: wanted, why: wanted === 1 ? '' : 'streams as asked for' };
  const several = link?.severalBytesPerSecond ?? null;
  if (link === null || several === null || several < severalWorthwhile * link.bytesPerSecond)
    return { count: 1, why: '' };
  const ratio = several / link.bytesPerSecond;
  const open = ratio >= unfilled * severalStreams ? 2 : 1;
  const count = Math.min(mostStreams, Math.ceil(ratio) * open);
  const kib = (bytesPerSecond: number) => Math.round((bytesPerSecond * link.roundTripMs) / 1000 / 1024);
  return { count, why: `one connection keeps ${kib(link.bytesPerSecond)} KiB in flight of ${kib(several)} and more` };
}

/** What so many connections carry: in proportion, up to what several did; beyond, where those had not found the end. */
function throughput(link: NonNullable<WireFacts['link']>, streams: number): number {
  const one = link.bytesPerSecond;
  const several = link.severalBytesPerSecond ?? one;
  const end = several >= unfilled * severalStreams * one ? Number.POSITIVE_INFINITY : Math.max(one, several);
  return Math.min(one * streams, end);
}

const rate = (bytesPerSecond: number) => `${(bytesPerSecond / 2 ** 20).toPrecision(3)} MiB/s`;
