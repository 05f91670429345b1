import { type ErrorCode, RankshiftError } from '../../errors.ts';
import { ByteSource } from './byte-source.ts';
import { blockSize, displayName, type EntryType, paddingOf, type TarEntry, xattrPrefix } from './entry.ts';
import { parseHeader, parsePax, type RawHeader } from './header.ts';

/** Longest extended header that is believed; real ones are a few kilobytes. */
const extendedLimit = 1 << 20;

const entryTypes: Record<string, EntryType> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
};

export interface ReadTarOptions {
  /** Code of the errors thrown. @defaultValue E_IMAGE */
  code?: ErrorCode;
  /** Sees every byte of the archive that `data` does not give: headers, padding, what was skipped, the end. In order. */
  literal?: (bytes: Buffer) => void;
}

/** An entry while it is read. Its data must be taken (or is skipped) before the next entry. */
export interface ReadEntry {
  entry: TarEntry;
  /** The header blocks as they stood in the archive, extended headers included. */
  raw: Buffer;
  /** Where the data begin in the archive, in bytes. */
  offset: number;
  data(): AsyncGenerator<Buffer>;
}

/**
 * Reads a tar archive (ustar, pax, GNU long names) entry by entry and byte by byte exact. tar-stream is not used here
 * because it decodes extended attributes and names as UTF-8, which destroys file capabilities.
 * @throws RankshiftError (options.code) where the archive is malformed or cut short.
 */
export async function* readTar(
  stream: AsyncIterable<Uint8Array>,
  options: ReadTarOptions = {},
): AsyncGenerator<ReadEntry> {
  const source = new ByteSource(stream);
  const fail = (message: string) => new RankshiftError(options.code ?? 'E_IMAGE', `tar archive: ${message}`);
  const literal = options.literal ?? (() => undefined);
  const globals = new Map<string, Buffer>();
  let extended = new Map<string, Buffer>();
  let raw: Buffer[] = [];

  async function extendedData(header: RawHeader): Promise<Buffer> {
    if (header.size > extendedLimit) throw fail(`an extended header of ${header.size} bytes`);
    const data = await source.take(header.size + paddingOf(header.size));
    if (data.length < header.size) throw fail('cut short inside an extended header');
    raw.push(data);
    literal(data);
    return data.subarray(0, header.size);
  }

  try {
    for (;;) {
      const block = await source.take(blockSize);
      if (block.length < blockSize) throw fail('cut short');
      literal(block);
      if (block.every((byte) => byte === 0)) break;
      const header = parseHeader(block);
      if (header === undefined) throw fail('a header is malformed');
      raw.push(block);
      if (header.flag === 'x' || header.flag === 'g') {
        const records = parsePax(await extendedData(header));
        if (records === undefined) throw fail('a pax header is malformed');
        for (const [key, value] of records) (header.flag === 'g' ? globals : extended).set(key, value);
        continue;
      }
      if (header.flag === 'L' || header.flag === 'K') {
        const data = await extendedData(header);
        const end = data.indexOf(0);
        extended.set(header.flag === 'L' ? 'path' : 'linkpath', data.subarray(0, end === -1 ? data.length : end));
        continue;
      }
      const entry = toEntry(header, new Map([...globals, ...extended]), fail);
      const reader = dataReader(source, entry, fail, literal);
      yield { entry, raw: Buffer.concat(raw), offset: source.position, data: reader.data };
      await reader.finish();
      extended = new Map();
      raw = [];
    }
    await source.drain(literal);
  } finally {
    await source.close();
  }
}

function toEntry(header: RawHeader, pax: Map<string, Buffer>, fail: (message: string) => Error): TarEntry {
  const isSparse = header.flag === 'S' || [...pax.keys()].some((key) => key.startsWith('GNU.sparse.'));
  const path = pax.get('path');
  const name = path?.toString('latin1') ?? header.name;
  if (isSparse) throw fail(`${displayName(name)} is a sparse entry`);
  const named = entryTypes[header.flag];
  if (named === undefined) {
    throw fail(`${displayName(name)} has the unknown type ${JSON.stringify(header.flag)}`);
  }
  // Archives older than POSIX mark a directory by the slash at the end of its name alone.
  const type = named === 'file' && name.endsWith('/') ? 'directory' : named;
  const number = (key: string, fallback: number): number => {
    const value = pax.get(key);
    if (value === undefined) return fallback;
    const parsed = Number(value.toString('latin1'));
    if (!Number.isSafeInteger(parsed) || parsed < 0) throw fail(`${displayName(name)}: ${key} is malformed`);
    return parsed;
  };
  const mtime = pax.get('mtime')?.toString('latin1') ?? String(header.mtime);
  if (!/^-?\d{1,15}(\.\d{0,12})?$/.test(mtime)) throw fail(`${displayName(name)}: mtime is malformed`);
  const xattrs = new Map<string, Buffer>();
  for (const [key, value] of pax) {
    if (key.startsWith(xattrPrefix)) xattrs.set(key.slice(xattrPrefix.length), Buffer.from(value));
  }
  return {
    type,
    path: name,
    linkPath:
      type === 'hardlink' || type === 'symlink' ? (pax.get('linkpath')?.toString('latin1') ?? header.linkName) : '',
    mode: header.mode & 0o7777,
    uid: number('uid', header.uid),
    gid: number('gid', header.gid),
    size: type === 'file' ? number('size', header.size) : 0,
    mtime,
    deviceMajor: header.deviceMajor,
    deviceMinor: header.deviceMinor,
    xattrs,
  };
}

function dataReader(
  source: ByteSource,
  entry: TarEntry,
  fail: (message: string) => Error,
  literal: (bytes: Buffer) => void,
) {
  let left = entry.size;
  async function* data(): AsyncGenerator<Buffer> {
    for await (const chunk of source.chunks(left)) {
      left -= chunk.length;
      yield chunk;
    }
    if (left > 0) throw fail(`cut short inside ${displayName(entry.path)}`);
  }
  async function finish(): Promise<void> {
    for await (const skipped of data()) literal(skipped);
    const padding = await source.take(paddingOf(entry.size));
    if (padding.length < paddingOf(entry.size)) throw fail(`cut short after ${displayName(entry.path)}`);
    literal(padding);
  }
  return { data, finish };
}
