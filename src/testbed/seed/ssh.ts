import { chownSync, copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../process/run.ts';
import type { TestbedState } from '../state.ts';
import { type Identity, type SeedFile, writeSeed } from './write-seed.ts';

/**
 * ssh between all nodes without questions: one host key for the testbed, one key of root, one for each user.
 * @returns files for the common seed; the users' files are written into their homes.
 */
export async function sshSeed(
  state: TestbedState,
  scratch: string,
  homes: { dir: string; owner: Identity }[],
): Promise<Record<string, SeedFile>> {
  mkdirSync(scratch, { recursive: true, mode: 0o700 });
  const key = async (name: string) => {
    const file = join(scratch, name);
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', `${name}@${state.name}`, '-f', file]);
    return { secret: readFileSync(file), open: readFileSync(`${file}.pub`) };
  };
  const [host, root] = await Promise.all([key('host'), key('root')]);
  const names = state.nodes.flatMap(({ name, address }) => [name, address]).join(',');
  for (const { dir, owner } of homes) {
    const user = await key(`user-${owner.uid}`);
    writeSeed(dir, dir, {
      '.ssh/id_ed25519': { content: user.secret, mode: 0o600, owner },
      '.ssh/authorized_keys': { content: user.open, mode: 0o600, owner },
    });
    chownSync(join(dir, '.ssh'), owner.uid, owner.gid);
  }
  return {
    'etc/ssh/ssh_host_ed25519_key': { content: host.secret, mode: 0o600 },
    'etc/ssh/ssh_host_ed25519_key.pub': { content: host.open },
    'etc/ssh/ssh_known_hosts': { content: `${names} ${host.open.toString()}` },
    'root/.ssh/id_ed25519': { content: root.secret, mode: 0o600 },
    'root/.ssh/authorized_keys': { content: root.open, mode: 0o600 },
  };
}

/** Copies the skeleton of a home (bash prompt and completion) from the node image. */
export function makeHome(image: string, dir: string, owner: Identity): void {
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  chownSync(dir, owner.uid, owner.gid);
  for (const file of ['.bashrc', '.profile']) {
    copyFileSync(join(image, 'etc/skel', file), join(dir, file));
    chownSync(join(dir, file), owner.uid, owner.gid);
  }
}
