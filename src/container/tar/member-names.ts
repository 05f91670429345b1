import { type ErrorCode, RankshiftError } from '../../errors.ts';
import { displayName, type EntryType, type TarEntry } from './entry.ts';

/**
 * Follows the names of an archive that is extracted into an empty directory and refuses every entry that could reach
 * outside of it or through a link: absolute names, `..`, a parent that the archive made a symbolic link, a hard link
 * to anything that the archive did not bring itself, a name that changes its type on the way, devices other than 0/0
 * (an overlayfs whiteout). What is left can be extracted by any tar that obeys its input.
 */
export class MemberNames {
  readonly #seen = new Map<string, EntryType>();
  readonly #code: ErrorCode;

  constructor(code: ErrorCode) {
    this.#code = code;
  }

  /** The canonical form of a name: relative, without `.` and double slashes; '' is the directory itself. */
  canonical(path: string): string {
    const parts = path.split('/').filter((part) => part !== '' && part !== '.');
    if (path.startsWith('/')) throw this.#refuse(path, 'is absolute');
    if (parts.includes('..')) throw this.#refuse(path, 'leads upwards');
    if (path.includes('\0')) throw this.#refuse(path, 'holds a zero byte');
    return parts.join('/');
  }

  typeOf(canonical: string): EntryType | undefined {
    return this.#seen.get(canonical);
  }

  /**
   * Admits an entry under its canonical name.
   * @returns the parents that the archive has not named so far, outermost first.
   * @throws RankshiftError where extracting the entry would not be safe.
   */
  admit(entry: TarEntry, canonical: string): string[] {
    if (canonical === '') {
      if (entry.type !== 'directory') throw this.#refuse(entry.path, 'is the root, but not a directory');
      return [];
    }
    const missing = this.#parents(entry.path, canonical);
    const before = this.#seen.get(canonical);
    if (before !== undefined && before !== entry.type) throw this.#refuse(entry.path, 'appears with two types');
    if (entry.type === 'hardlink') this.#checkHardLink(entry);
    if (entry.type === 'symlink' && entry.linkPath === '') throw this.#refuse(entry.path, 'is a link to nothing');
    if (entry.type === 'character' && (entry.deviceMajor !== 0 || entry.deviceMinor !== 0)) {
      throw this.#refuse(entry.path, 'is a device');
    }
    if (entry.type === 'block') throw this.#refuse(entry.path, 'is a device');
    this.#seen.set(canonical, entry.type);
    return missing;
  }

  #parents(path: string, canonical: string): string[] {
    const missing: string[] = [];
    for (let slash = canonical.indexOf('/'); slash !== -1; slash = canonical.indexOf('/', slash + 1)) {
      const parent = canonical.slice(0, slash);
      const type = this.#seen.get(parent);
      if (type === undefined) {
        this.#seen.set(parent, 'directory');
        missing.push(parent);
      } else if (type !== 'directory') {
        throw this.#refuse(path, `lies beneath ${displayName(parent)}, which is a ${type}`);
      }
    }
    return missing;
  }

  #checkHardLink(entry: TarEntry): void {
    const type = this.#seen.get(this.canonical(entry.linkPath));
    if (type === undefined || type === 'directory') {
      throw this.#refuse(
        entry.path,
        `is a hard link to ${displayName(entry.linkPath)}, which the archive does not hold`,
      );
    }
  }

  #refuse(path: string, why: string): RankshiftError {
    return new RankshiftError(this.#code, `archive member ${displayName(path)} ${why}`);
  }
}
