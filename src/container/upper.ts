import { chmod, chown, copyFile, link, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { RankshiftError } from '../errors.ts';
import { readImageFile } from './image-file.ts';
import { isMounted, prepareContainerDir, rootfsPath, upperPath } from './rootfs.ts';
import { newShimPage, shimFile, shimPageFile } from './shim-page.ts';
import { type ContainerSpec, containerName, ownDirectory } from './spec.ts';

export interface UpperOptions {
  /** The container's directory on this node. */
  containerDir: string;
  /** Absolute directories of the image's layers, top first. */
  layers: readonly string[];
}

/**
 * Lays what the container needs into its upper directory, before the root file system is mounted for the first time:
 * our own files, names of the job's containers, the user's passwd and group lines. After a move the upper directory
 * brings all that along. What an earlier run of the same job has left in the directory (a requeued job keeps its
 * number) is removed first.
 * @throws RankshiftError E_BUSY where the root file system is mounted.
 */
export async function prepareUpper(config: Config, spec: ContainerSpec, options: UpperOptions): Promise<void> {
  const upper = upperPath(options.containerDir);
  if (await isMounted(rootfsPath(options.containerDir))) {
    throw new RankshiftError('E_BUSY', `${options.containerDir} is mounted`);
  }
  for (const old of [upper, join(options.containerDir, 'work')]) await rm(old, { recursive: true, force: true });
  await prepareContainerDir(options.containerDir);
  await directory(upper, 0o755);
  await writeOwnFiles(config, spec, join(upper, ownDirectory));
  await writeNames(spec, options.layers, upper);
  await directory(join(upper, 'tmp'), 0o1777);
  for (const mountPoint of ['dev', 'proc', 'sys']) await directory(join(upper, mountPoint), 0o755);
}

async function writeOwnFiles(config: Config, spec: ContainerSpec, own: string): Promise<void> {
  // The user's: PID 1 makes output and exit file in it.
  await directory(own, 0o755, spec.uid, spec.gid);
  const init = join(own, 'init');
  await rm(init, { force: true });
  await copyFile(join(config.binDir, 'rankshift-init'), init);
  await chmod(init, 0o755);
  await rm(join(own, 'rsh'), { force: true });
  await link(init, join(own, 'rsh'));
  await rm(join(own, shimFile), { force: true });
  await copyFile(join(config.binDir, 'rankshift-mpi.so'), join(own, shimFile));
  await chmod(join(own, shimFile), 0o755);
  const ranks = spec.hosts[spec.index]?.slots ?? 1;
  await file(join(own, shimPageFile), newShimPage(ranks), 0o600, spec.uid, spec.gid);
  const hostfile = spec.hosts.map(({ name, slots }) => `${name} slots=${slots}\n`).join('');
  await file(join(own, 'hostfile'), hostfile, 0o644);
  const hydra = spec.hosts.map(({ name, slots }) => `${name}:${slots}\n`).join('');
  await file(join(own, 'hostfile.hydra'), hydra, 0o644);
  await file(join(own, 'secret'), `${spec.secret}\n`, 0o400, spec.uid, spec.gid);
}

async function writeNames(spec: ContainerSpec, layers: readonly string[], upper: string): Promise<void> {
  const etc = join(upper, 'etc');
  await directory(etc, 0o755);
  const hosts = spec.hosts.map(({ name, ip }) => `${ip} ${name}\n`).join('');
  await file(join(etc, 'hosts'), `127.0.0.1 localhost\n${hosts}`, 0o644);
  await file(join(etc, 'hostname'), `${containerName(spec.index)}\n`, 0o644);
  // Empty: a name server that cannot be reached from the job's overlay would make every look-up wait for a time-out.
  await file(join(etc, 'resolv.conf'), '', 0o644);
  const { user, uid, gid, home } = spec;
  const passwd = (await readImageFile(layers, 'etc/passwd')) ?? 'root:x:0:0:root:/:/bin/sh\n';
  await file(join(etc, 'passwd'), withLine(passwd, 2, uid, `${user}:x:${uid}:${gid}::${home}:/bin/sh`), 0o644);
  const group = (await readImageFile(layers, 'etc/group')) ?? 'root:x:0:\n';
  await file(join(etc, 'group'), withLine(group, 2, gid, `${user}:x:${gid}:`), 0o644);
}

/** The table with a line added, unless one has the id already. */
function withLine(table: string, column: number, id: number, line: string): string {
  if (table.split('\n').some((old) => old.split(':')[column] === String(id))) return table;
  return `${table}${table === '' || table.endsWith('\n') ? '' : '\n'}${line}\n`;
}

async function directory(path: string, mode: number, uid = 0, gid = 0): Promise<void> {
  await mkdir(path, { recursive: true });
  await chown(path, uid, gid);
  await chmod(path, mode);
}

async function file(path: string, content: string | Uint8Array, mode: number, uid = 0, gid = 0): Promise<void> {
  await rm(path, { force: true });
  await writeFile(path, content, { mode: 0o600, flag: 'wx' });
  await chown(path, uid, gid);
  await chmod(path, mode);
}
