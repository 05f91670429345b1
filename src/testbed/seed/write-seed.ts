import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface Identity {
  uid: number;
  gid: number;
}

export interface SeedFile {
  content: string | Uint8Array;
  mode?: number;
  owner?: Identity;
}

/**
 * Writes files below a seed directory, which is laid over the node image. In overlayfs the uppermost directory gives
 * mode and owner, so a new directory takes those that it has in the image (`like`); one that is not there is 0755 root.
 */
export function writeSeed(dir: string, like: string, files: Record<string, SeedFile>): void {
  for (const [path, { content, mode = 0o644, owner = { uid: 0, gid: 0 } }] of Object.entries(files)) {
    makeDirectories(dir, like, dirname(path));
    const target = join(dir, path);
    writeFileSync(target, content);
    chownSync(target, owner.uid, owner.gid);
    chmodSync(target, mode);
  }
}

function makeDirectories(dir: string, like: string, path: string): void {
  const target = join(dir, path);
  if (existsSync(target)) return;
  if (path !== '.') makeDirectories(dir, like, dirname(path));
  mkdirSync(target, { recursive: true });
  const model = existsSync(join(like, path)) ? statSync(join(like, path)) : { uid: 0, gid: 0, mode: 0o755 };
  chownSync(target, model.uid, model.gid);
  chmodSync(target, model.mode & 0o7777);
}

/** Uid and gid of a user of the node image, from its passwd(5). */
export function identityIn(image: string, user: string): Identity {
  const line = readFileSync(join(image, 'etc/passwd'), 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${user}:`));
  const [, , uid, gid] = line?.split(':') ?? [];
  if (uid === undefined || gid === undefined) throw new Error(`the node image has no user ${user}`);
  return { uid: Number(uid), gid: Number(gid) };
}
