import { blockSize, type EntryType, type TarEntry, typeFlags, xattrPrefix } from './entry.ts';

/** The fields of one 512-byte header block (pax(1), "ustar Interchange Format"; tar.5 of libarchive for GNU's). */
export interface RawHeader {
  flag: string;
  name: string;
  linkName: string;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  mtime: number;
  deviceMajor: number;
  deviceMinor: number;
}

/** Reads a header block; undefined where its checksum or a number is wrong. */
export function parseHeader(block: Buffer): RawHeader | undefined {
  let sum = 0;
  for (let i = 0; i < blockSize; i++) sum += i >= 148 && i < 156 ? 32 : (block[i] ?? 0);
  if (parseNumber(block.subarray(148, 156)) !== sum) return undefined;
  const posix = block.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = posix ? text(block, 345, 155) : '';
  const name = text(block, 0, 100);
  const header = {
    flag: String.fromCharCode(block[156] ?? 0),
    name: prefix === '' ? name : `${prefix}/${name}`,
    linkName: text(block, 157, 100),
    mode: parseNumber(block.subarray(100, 108)),
    uid: parseNumber(block.subarray(108, 116)),
    gid: parseNumber(block.subarray(116, 124)),
    size: parseNumber(block.subarray(124, 136)),
    mtime: parseNumber(block.subarray(136, 148)),
    deviceMajor: parseNumber(block.subarray(329, 337)),
    deviceMinor: parseNumber(block.subarray(337, 345)),
  };
  const numbers = [header.mode, header.uid, header.gid, header.size, header.deviceMajor, header.deviceMinor];
  return numbers.every((n) => Number.isSafeInteger(n) && n >= 0) && Number.isSafeInteger(header.mtime)
    ? header
    : undefined;
}

/** Octal text, or base-256 where the first bit is set (GNU). NaN where it is neither. */
function parseNumber(field: Buffer): number {
  const first = field[0] ?? 0;
  if ((first & 0x80) !== 0) {
    let value = first === 0xff ? -1 : first & 0x3f;
    for (const byte of field.subarray(1)) value = value * 256 + byte;
    return value;
  }
  const digits = text(field, 0, field.length).trim();
  if (digits === '') return 0;
  return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN;
}

function text(block: Buffer, start: number, length: number): string {
  const field = block.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.toString('latin1', 0, end === -1 ? field.length : end);
}

/** Parses the records `<length> <key>=<value>\n` of a pax header; undefined where they are malformed. */
export function parsePax(data: Buffer): Map<string, Buffer> | undefined {
  const records = new Map<string, Buffer>();
  let at = 0;
  while (at < data.length) {
    const space = data.indexOf(0x20, at);
    if (space === -1) return undefined;
    const length = Number(data.toString('latin1', at, space));
    if (!Number.isSafeInteger(length) || length <= space - at || at + length > data.length) return undefined;
    const equals = data.indexOf(0x3d, space);
    const end = at + length - 1;
    if (equals === -1 || equals >= end || data[end] !== 0x0a) return undefined;
    records.set(data.toString('latin1', space + 1, equals), data.subarray(equals + 1, end));
    at += length;
  }
  return records;
}

/** Writes the header of an entry: a pax header where ustar's fields do not suffice, then the ustar block. */
export function encodeEntry(entry: TarEntry): Buffer {
  const path = entry.type === 'directory' && !entry.path.endsWith('/') ? `${entry.path}/` : entry.path;
  const records: [string, Buffer][] = [];
  const put = (key: string, value: string) => records.push([key, Buffer.from(value, 'latin1')]);
  if (path.length > 99) put('path', path);
  if (entry.linkPath.length > 99) put('linkpath', entry.linkPath);
  if (entry.uid > 0o7777777) put('uid', String(entry.uid));
  if (entry.gid > 0o7777777) put('gid', String(entry.gid));
  if (entry.size > 0o77777777777) put('size', String(entry.size));
  if (!/^\d{1,10}$/.test(entry.mtime)) put('mtime', entry.mtime);
  for (const [name, value] of entry.xattrs) records.push([`${xattrPrefix}${name}`, value]);
  const block = encodeBlock({ ...entry, path }, typeFlags[entry.type]);
  if (records.length === 0) return block;
  const data = Buffer.concat(records.map(([key, value]) => encodeRecord(key, value)));
  const extended = encodeBlock({ ...plainEntry('file', 'PaxHeader', data.length), mtime: '0' }, 'x');
  return Buffer.concat([extended, data, Buffer.alloc((blockSize - (data.length % blockSize)) % blockSize), block]);
}

/** An entry owned by root with the usual mode. */
export function plainEntry(type: EntryType, path: string, size = 0): TarEntry {
  const mode = type === 'directory' ? 0o755 : 0o644;
  const none = { linkPath: '', uid: 0, gid: 0, mtime: '0', deviceMajor: 0, deviceMinor: 0 };
  return { type, path, size, mode, ...none, xattrs: new Map() };
}

function encodeRecord(key: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`, 'latin1'), value, Buffer.from('\n')]);
  let length = rest.length + String(rest.length).length;
  if (String(length).length + rest.length !== length) length = rest.length + String(length).length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

function encodeBlock(entry: TarEntry, flag: string): Buffer {
  const block = Buffer.alloc(blockSize);
  const octal = (value: number, offset: number, length: number) => {
    const largest = 8 ** (length - 1) - 1;
    block.write(
      Math.min(value, largest)
        .toString(8)
        .padStart(length - 1, '0'),
      offset,
      'latin1',
    );
  };
  block.write(entry.path.slice(0, 100), 0, 'latin1');
  octal(entry.mode, 100, 8);
  octal(entry.uid, 108, 8);
  octal(entry.gid, 116, 8);
  octal(entry.size, 124, 12);
  octal(Math.max(0, Math.floor(Number(entry.mtime))), 136, 12);
  block.write('        ', 148, 'latin1');
  block.write(flag, 156, 'latin1');
  block.write(entry.linkPath.slice(0, 100), 157, 'latin1');
  block.write('ustar\0' + '00', 257, 'latin1');
  octal(entry.deviceMajor, 329, 8);
  octal(entry.deviceMinor, 337, 8);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
