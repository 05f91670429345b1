import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { RankshiftError } from '../../errors.ts';
import { run } from '../../process/run.ts';
import { cachedDirectory, recipeHash } from '../images/cached-directory.ts';
import { ensureCriuLayer } from '../images/criu-layer.ts';
import { downloadPackages } from '../images/download-packages.ts';
import { suite } from '../images/recipes.ts';
import { cacheDir, scriptDir } from '../paths.ts';
import { makeDisk } from './disk.ts';

/** The kernel's package is the one that this one depends on, whatever its version is now. */
const kernelPackage = 'linux-image-cloud-amd64';
/** What the initramfs loads; everything else is loaded from the root file system when it is asked for. */
const earlyModules = ['failover', 'net_failover', 'virtio_net', 'virtio_blk', 'overlay'];

/** A kernel with its initramfs (as a directory, to which each node's own files are added) and the disk of the root. */
export interface MachineImage {
  kernel: string;
  initramfs: string;
  root: string;
}

/**
 * Makes what a virtual machine starts from: the distribution's own kernel, and the node image with its modules as a disk.
 * CRIU is the newer one: 4.1.1 fails with a null pointer when runc asks it for a restore on this kernel.
 * A change of the kernel's version in the distribution makes nothing new: what is in the cache stays.
 */
export async function ensureMachineImage(nodeImage: string, progress: (line: string) => void): Promise<MachineImage> {
  const init = readFileSync(join(scriptDir, 'vm-init'), 'utf8');
  const criu = await ensureCriuLayer(nodeImage, progress);
  const layers = [nodeImage, criu].map((dir) => basename(dir));
  const hash = recipeHash({ kind: 'machine', suite, kernelPackage, layers, init, earlyModules });
  const dir = join(cacheDir(), 'machine-images', hash.slice(0, 16));
  await cachedDirectory(dir, async (content) => {
    progress(`making the disk of the virtual machines with the kernel of ${suite} (half a minute, once)`);
    const scratch = join(dirname(content), 'scratch');
    const packages = await downloadPackages(nodeImage, suite, join(scratch, 'apt'), [kernelPackage, 'busybox-static'], {
      standsFor: kernelPackage,
    });
    const unpacked = join(scratch, 'unpacked');
    for (const file of packages) await run('dpkg-deb', ['--extract', file, unpacked]);
    await addRoot([nodeImage, criu], unpacked, scratch, content);
    await addInitramfs(unpacked, content);
  });
  return { kernel: join(dir, 'vmlinuz'), initramfs: join(dir, 'initramfs'), root: join(dir, 'root.img') };
}

/** The node image and what lies over it, with the kernel's modules and their index. */
async function addRoot(layers: string[], unpacked: string, scratch: string, content: string): Promise<void> {
  const version = kernelVersion(unpacked);
  const root = join(scratch, 'root');
  mkdirSync(root);
  for (const layer of layers) await run('cp', ['--archive', `${layer}/.`, root], { timeoutMs: 300_000 });
  mkdirSync(join(root, 'usr/lib/modules'), { recursive: true });
  await run('cp', ['--archive', join(unpacked, 'usr/lib/modules', version), join(root, 'usr/lib/modules')]);
  await run('chroot', [root, 'depmod', version], { timeoutMs: 120_000 });
  await makeDisk(root, join(content, 'root.img'));
  copyFileSync(join(unpacked, 'boot', `vmlinuz-${version}`), join(content, 'vmlinuz'));
}

async function addInitramfs(unpacked: string, content: string): Promise<void> {
  const root = join(content, 'initramfs');
  for (const dir of ['bin', 'proc', 'sys', 'dev', 'modules', 'seed']) mkdirSync(join(root, dir), { recursive: true });
  cpSync(join(unpacked, 'usr/bin/busybox'), join(root, 'bin/busybox'));
  cpSync(join(scriptDir, 'vm-init'), join(root, 'init'));
  const modules = join(unpacked, 'usr/lib/modules', kernelVersion(unpacked));
  for (const name of earlyModules) {
    const file = readdirSync(modules, { recursive: true, encoding: 'utf8' }).find((path) =>
      path.endsWith(`/${name}.ko.xz`),
    );
    if (file === undefined) throw new RankshiftError('E_MISSING', `the kernel has no module ${name}`);
    cpSync(join(modules, file), join(root, 'modules', `${name}.ko.xz`));
    await run('xz', ['--decompress', join(root, 'modules', `${name}.ko.xz`)]);
  }
}

function kernelVersion(unpacked: string): string {
  const [version] = readdirSync(join(unpacked, 'usr/lib/modules'));
  if (version === undefined) throw new RankshiftError('E_MISSING', 'the kernel package holds no kernel');
  return version;
}
