import { RankshiftError } from '../../errors.ts';
import { blockSize, displayName, paddingOf, type TarEntry } from '../tar/entry.ts';
import { encodeEntry, plainEntry } from '../tar/header.ts';
import { MemberNames } from '../tar/member-names.ts';
import { readTar } from '../tar/read.ts';
import type { RecipeWriter } from './recipe.ts';

const whiteoutPrefix = '.wh.';
const opaqueMarker = '.wh..wh..opq';

export interface OverlayFormOptions {
  /** False for a plain root directory, in which `.wh.` means nothing. */
  whiteouts: boolean;
  /** Takes down what the archive consists of. */
  recipe?: RecipeWriter;
}

/**
 * Turns the tar stream of an OCI layer (image-spec, "Image Layer Filesystem Changeset") into one that, extracted into
 * an empty directory, is that layer in overlayfs form: `.wh.x` becomes a 0/0 character device x, a directory with
 * `.wh..wh..opq` gets trusted.overlay.opaque=y (Documentation/filesystems/overlayfs.rst). Devices are left out, as a
 * rank container has its own /dev. Attributes that steer overlayfs itself do not pass.
 * @throws RankshiftError E_IMAGE for every entry that could reach outside of the directory.
 */
export async function* overlayForm(
  layer: AsyncIterable<Uint8Array>,
  options: OverlayFormOptions,
): AsyncGenerator<Buffer> {
  const names = new MemberNames('E_IMAGE');
  const directories = new Map<string, TarEntry>();
  const removed: string[] = [];
  const opaque = new Set<string>();

  const admit = (entry: TarEntry): Buffer[] => {
    const parents = names.admit(entry, entry.path === '.' ? '' : entry.path);
    const headers = parents.map((parent) => {
      const made = plainEntry('directory', parent);
      directories.set(parent, made);
      return encodeEntry(made);
    });
    if (entry.type === 'directory') directories.set(entry.path, entry);
    return [...headers, encodeEntry(entry)];
  };

  const { recipe } = options;
  const literal = recipe === undefined ? {} : { literal: (bytes: Buffer) => recipe.literal(bytes) };
  for await (const { entry, data } of readTar(layer, literal)) {
    // Some tools write absolute names and mean the root of the image, as chroot would.
    const canonical = names.canonical(entry.path.replace(/^\/+/, ''));
    const slash = canonical.lastIndexOf('/');
    const [parent, base] = [slash === -1 ? '' : canonical.slice(0, slash), canonical.slice(slash + 1)];
    const marked = canonical.split('/').some((part) => part.startsWith(whiteoutPrefix));
    // Whoever receives the archive would take it for a whiteout.
    if (marked && !options.whiteouts) recipe?.spoil();
    if (marked && options.whiteouts) {
      if (base === opaqueMarker) opaque.add(parent === '' ? '.' : parent);
      else if (base.startsWith(whiteoutPrefix) && !base.startsWith(`${whiteoutPrefix}${whiteoutPrefix}`)) {
        removed.push(removedName(entry.path, parent, base));
      }
      continue; // Other names of the form .wh..wh.* are AUFS's own bookkeeping.
    }
    const isDevice =
      entry.type === 'block' || (entry.type === 'character' && (entry.deviceMajor !== 0 || entry.deviceMinor !== 0));
    if (isDevice) continue;
    const xattrs = new Map([...entry.xattrs].filter(([name]) => !/^(trusted|user)\.overlay\./.test(name)));
    const linkPath = entry.type === 'hardlink' ? names.canonical(entry.linkPath.replace(/^\/+/, '')) : entry.linkPath;
    // Of two members with one name the later remains.
    if (entry.type === 'file' && names.typeOf(canonical) !== undefined) recipe?.spoil();
    yield* admit({ ...entry, path: canonical === '' ? '.' : canonical, linkPath, xattrs });
    if (entry.size > 0) recipe?.file(canonical, entry.size);
    yield* data();
    yield Buffer.alloc(paddingOf(entry.size));
  }
  // At the end, because a layer may name a whiteout and the new content in any order; the content wins.
  for (const name of removed) {
    const type = names.typeOf(name);
    if (type === undefined) yield* admit({ ...plainEntry('character', name), mode: 0 });
    else if (type === 'directory') opaque.add(name);
  }
  for (const name of opaque) {
    const entry = directories.get(name) ?? plainEntry('directory', name);
    yield* admit({ ...entry, xattrs: new Map([...entry.xattrs, ['trusted.overlay.opaque', Buffer.from('y')]]) });
  }
  yield Buffer.alloc(2 * blockSize);
}

function removedName(path: string, parent: string, base: string): string {
  const name = base.slice(whiteoutPrefix.length);
  if (name === '' || name === '.' || name === '..') {
    throw new RankshiftError('E_IMAGE', `archive member ${displayName(path)} is a malformed whiteout`);
  }
  return parent === '' ? name : `${parent}/${name}`;
}
