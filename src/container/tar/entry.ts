/**
 * One member of a tar archive. Names are kept as bytes, one byte per UTF-16 unit ('latin1'), because a file name and
 * an extended attribute (a file capability, say) need not be UTF-8 and must come out as they went in.
 */
export interface TarEntry {
  type: EntryType;
  path: string;
  /** Target of a symbolic or hard link, else empty. */
  linkPath: string;
  mode: number;
  uid: number;
  gid: number;
  /** Bytes of data that follow the header; 0 for everything but regular files. */
  size: number;
  /** Seconds as a decimal, to keep nanoseconds. */
  mtime: string;
  deviceMajor: number;
  deviceMinor: number;
  /** Extended attributes: name (bytes, as above) -> value. */
  xattrs: Map<string, Buffer>;
}

export type EntryType = 'file' | 'hardlink' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo';

/** Type flags of POSIX ustar (pax(1), "ustar Interchange Format"). */
export const typeFlags: Record<EntryType, string> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

export const blockSize = 512;

/** Prefix of extended attributes in pax headers (star, GNU tar, Go and Docker). */
export const xattrPrefix = 'SCHILY.xattr.';

/** A name of an archive as text for messages. */
export function displayName(bytes: string): string {
  return JSON.stringify(Buffer.from(bytes, 'latin1').toString('utf8'));
}

/** Bytes that fill the data of an entry up to a whole block. */
export function paddingOf(size: number): number {
  return (blockSize - (size % blockSize)) % blockSize;
}
