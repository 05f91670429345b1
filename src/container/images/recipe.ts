import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { constants, createGunzip, createGzip } from 'node:zlib';
import { RankshiftError } from '../../errors.ts';
import { ByteSource } from '../tar/byte-source.ts';
import { displayName } from '../tar/entry.ts';
import { layerPath } from './store.ts';

/**
 * The store keeps a layer extracted, but its digest is that of its archive. The recipe of a layer says how the archive,
 * byte for byte, is put together again: literal bytes (headers, padding) and contents of extracted files, in turn. So a
 * layer can go to another node, which checks it by its digest as if it were imported there. (tar-split, of the container
 * storages, does the same.)
 *
 * File: magic, bytes of the archive, then gzip of records: 0, length, bytes; or 1, size, length of path, path.
 */
const magic = Buffer.from('rsrecip1', 'latin1');
const headBytes = 16;
const flushBytes = 1_048_576;
const chunkBytes = 262_144;

export function recipePath(store: string, digest: string): string {
  const layer = layerPath(store, digest);
  return join(store, 'recipes', `${layer.slice(layer.lastIndexOf('/') + 1)}.gz`);
}

/** Takes down how an archive is made while it is extracted. */
export class RecipeWriter {
  readonly #gzip = createGzip({ level: 3 });
  readonly #file: string;
  readonly #written: Promise<void>;
  #gathered: Buffer[] = [];
  #gatheredBytes = 0;
  #archiveBytes = 0;
  #usable = true;

  constructor(file: string) {
    this.#file = file;
    const output = createWriteStream(file, { mode: 0o600 });
    output.write(Buffer.concat([magic, Buffer.alloc(8)]));
    this.#written = pipeline(this.#gzip, output);
    this.#written.catch(() => undefined);
  }

  /** Bytes of the archive that are in no extracted file. */
  literal(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#gathered.push(Buffer.from(bytes));
    this.#gatheredBytes += bytes.length;
    if (this.#gatheredBytes >= flushBytes) this.#flush();
  }

  /** The whole content of one extracted file comes next; its path in latin1, as all names of archives here. */
  file(path: string, size: number): void {
    this.#flush();
    const name = Buffer.from(path, 'latin1');
    const head = Buffer.alloc(13);
    head.writeUInt8(1, 0);
    head.writeBigUInt64LE(BigInt(size), 1);
    head.writeUInt32LE(name.length, 9);
    this.#gzip.write(Buffer.concat([head, name]));
    this.#archiveBytes += size;
  }

  /** What is extracted does not hold all of the archive. */
  spoil(): void {
    this.#usable = false;
  }

  /** Ends the file. False where the archive cannot be made again. */
  async end(): Promise<boolean> {
    this.#flush();
    this.#gzip.end();
    await this.#written;
    const file = await open(this.#file, 'r+');
    try {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(BigInt(this.#archiveBytes));
      await file.write(bytes, 0, 8, magic.length);
    } finally {
      await file.close();
    }
    return this.#usable;
  }

  drop(): void {
    this.#gzip.destroy();
  }

  #flush(): void {
    if (this.#gatheredBytes === 0) return;
    const head = Buffer.alloc(5);
    head.writeUInt32LE(this.#gatheredBytes, 1);
    this.#gzip.write(Buffer.concat([head, ...this.#gathered]));
    this.#archiveBytes += this.#gatheredBytes;
    this.#gathered = [];
    this.#gatheredBytes = 0;
  }
}

/** Puts a written recipe in its place. Before the layer is seen, which none is without. */
export async function publishRecipe(store: string, digest: string, file: string): Promise<void> {
  const place = recipePath(store, digest);
  await mkdir(dirname(place), { recursive: true, mode: 0o700 });
  await rename(file, place);
}

/** Bytes of a layer's archive; null where it cannot be sent: it came here by other means than an import. */
export async function archiveBytes(store: string, digest: string): Promise<number | null> {
  const present = await stat(layerPath(store, digest)).then(
    (found) => found.isDirectory(),
    () => false,
  );
  const file = present ? await open(recipePath(store, digest), 'r').catch(() => null) : null;
  if (file === null) return null;
  try {
    const head = Buffer.alloc(headBytes);
    const { bytesRead } = await file.read(head, 0, headBytes, 0);
    if (bytesRead < headBytes || !head.subarray(0, magic.length).equals(magic)) return null;
    return Number(head.readBigUInt64LE(magic.length));
  } finally {
    await file.close();
  }
}

/**
 * The archive of a layer of the store, byte for byte as it was imported.
 * @throws RankshiftError E_IMAGE where layer or recipe are damaged or not there.
 */
export async function* archiveOf(store: string, digest: string): AsyncGenerator<Buffer> {
  const damaged = (why: string) => new RankshiftError('E_IMAGE', `layer ${digest}: ${why}; import its image again`);
  if ((await archiveBytes(store, digest)) === null) throw damaged('it is not there, or there is no recipe for it');
  const unpacked = createReadStream(recipePath(store, digest), { start: headBytes }).pipe(
    createGunzip({ finishFlush: constants.Z_FINISH }),
  );
  const source = new ByteSource(unpacked);
  try {
    for (;;) {
      const kind = await source.take(1);
      if (kind.length === 0) return;
      if (kind[0] === 0) {
        const length = (await source.take(4)).readUInt32LE();
        const bytes = await source.take(length);
        if (bytes.length < length) throw damaged('its recipe is cut short');
        yield bytes;
        continue;
      }
      const head = await source.take(12);
      const path = (await source.take(head.readUInt32LE(8))).toString('latin1');
      const size = Number(head.readBigUInt64LE());
      let left = size;
      for await (const chunk of contentOf(layerPath(store, digest), path, size)) {
        left -= chunk.length;
        yield chunk;
      }
      if (left > 0) throw damaged(`${displayName(path)} is shorter than it was`);
    }
  } catch (cause) {
    if (cause instanceof RankshiftError) throw cause;
    throw damaged((cause as Error).message);
  } finally {
    unpacked.destroy();
    await source.close();
  }
}

async function* contentOf(layer: string, path: string, size: number): AsyncGenerator<Buffer> {
  if (size === 0) return;
  const place = Buffer.concat([Buffer.from(`${layer}/`), Buffer.from(path, 'latin1')]);
  const file = await open(place, 'r');
  try {
    for (let at = 0; at < size; ) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(Math.min(chunkBytes, size - at)), 0, null, at);
      if (bytesRead === 0) return;
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}
