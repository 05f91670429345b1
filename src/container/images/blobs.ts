import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { RankshiftError } from '../../errors.ts';
import { readTar } from '../tar/read.ts';

/** Files by name inside an image source. Names of an archive are only ever looked up, never written anywhere. */
export interface BlobSource {
  has(name: string): boolean | Promise<boolean>;
  /** @throws RankshiftError E_IMAGE where there is no such file. */
  read(name: string): Promise<AsyncIterable<Uint8Array>>;
}

/** Manifests and configurations are kilobytes; what is larger is not one. */
const documentLimit = 8 << 20;

/** The files of a directory (OCI layout). */
export function directoryBlobs(directory: string): BlobSource {
  const isFile = (name: string) =>
    stat(join(directory, name)).then(
      (found) => found.isFile(),
      () => false,
    );
  return {
    has: isFile,
    async read(name) {
      if (!(await isFile(name))) throw absent(name);
      return createReadStream(join(directory, name));
    },
  };
}

/** The members of an uncompressed tar archive, found by one pass over it. */
export async function archiveBlobs(file: string): Promise<BlobSource> {
  const members = new Map<string, { offset: number; size: number }>();
  const links = new Map<string, string>();
  for await (const { entry, offset } of readTar(createReadStream(file, { highWaterMark: 1 << 20 }))) {
    const name = posix.normalize(Buffer.from(entry.path, 'latin1').toString('utf8'));
    const target = Buffer.from(entry.linkPath, 'latin1').toString('utf8');
    if (entry.type === 'file') members.set(name, { offset, size: entry.size });
    // `docker save` of old wrote a layer that two images share as a symbolic link to the first.
    if (entry.type === 'symlink') links.set(name, posix.join(posix.dirname(name), target));
    if (entry.type === 'hardlink') links.set(name, posix.normalize(target));
  }
  const find = (name: string) => members.get(name) ?? members.get(links.get(name) ?? '');
  return {
    has: (name) => find(name) !== undefined,
    async read(name) {
      const member = find(name);
      if (member === undefined) throw absent(name);
      if (member.size === 0) return (async function* () {})();
      return createReadStream(file, { start: member.offset, end: member.offset + member.size - 1 });
    },
  };
}

/** A whole small file. @throws RankshiftError E_IMAGE where it is absent, too large, or not what its digest says. */
export async function readDocument(source: BlobSource, name: string, digest?: string): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const stream = await source.read(name);
  for await (const chunk of digest === undefined ? stream : verified(stream, digest)) {
    size += chunk.length;
    if (size > documentLimit) throw new RankshiftError('E_IMAGE', `${name} is larger than ${documentLimit} bytes`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (cause) {
    throw new RankshiftError('E_IMAGE', `${name} is not JSON`, { cause });
  }
}

/** The stream, which fails at its end where its digest is another. */
export async function* verified(stream: AsyncIterable<Uint8Array>, digest: string): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  for await (const chunk of stream) {
    hash.update(chunk);
    yield chunk;
  }
  const found = `sha256:${hash.digest('hex')}`;
  if (found !== digest) throw new RankshiftError('E_IMAGE', `a blob has the digest ${found}, expected ${digest}`);
}

/** Where an OCI layout keeps a blob. */
export function blobName(digest: string): string {
  return `blobs/sha256/${digest.slice('sha256:'.length)}`;
}

function absent(name: string): RankshiftError {
  return new RankshiftError('E_IMAGE', `the image lacks ${name}`);
}
