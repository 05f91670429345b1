import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { RankshiftError } from '../../errors.ts';
import { run } from '../../process/run.ts';
import { cachedDirectory, recipeHash } from '../images/cached-directory.ts';
import { ensureCriuLayer } from '../images/criu-layer.ts';
import { downloadPackages } from '../images/download-packages.ts';
import { suite } from '../images/recipes.ts';
import { cacheDir, scriptDir } from '../paths.ts';
import type { Kernel } from '../state.ts';
import { makeDisk } from './disk.ts';

/** The kernel's package is the one that this one depends on, whatever its version is now. */
const kernelPackage = 'linux-image-cloud-amd64';
/** Releases of the distribution whose kernels there are: the node image's own, and one without our tracker (6.1). */
const kernelSuites: Record<Kernel, string> = { default: suite, old: 'bookworm' };
/** What the initramfs loads, with what these need; everything else is loaded from the root file system when asked for. */
const earlyModules = ['virtio_pci', 'virtio_net', 'virtio_blk', 'ext4', 'overlay', 'virtiofs'];

/** Kernels with their initramfs (as a directory, to which each node's own files are added) and the disk of the root. */
export interface MachineImage {
  kernels: Record<Kernel, { kernel: string; initramfs: string }>;
  root: string;
}

/**
 * Makes what a virtual machine starts from: the distribution's own kernels, and the node image with their modules as a
 * disk. CRIU is the newer one: 4.1.1 fails with a null pointer when runc asks it for a restore on these kernels.
 * A change of a kernel's version in the distribution makes nothing new: what is in the cache stays.
 */
export async function ensureMachineImage(nodeImage: string, progress: (line: string) => void): Promise<MachineImage> {
  const init = readFileSync(join(scriptDir, 'vm-init'), 'utf8');
  const criu = await ensureCriuLayer(nodeImage, progress);
  const layers = [nodeImage, criu].map((dir) => basename(dir));
  const hash = recipeHash({ kind: 'machine', kernelSuites, kernelPackage, layers, init, earlyModules });
  const dir = join(cacheDir(), 'machine-images', hash.slice(0, 16));
  const names = Object.keys(kernelSuites) as Kernel[];
  await cachedDirectory(dir, async (content) => {
    progress(`making the disk of the virtual machines with the kernels of ${suite} and ${kernelSuites.old} (once)`);
    const scratch = join(dirname(content), 'scratch');
    const root = join(scratch, 'root');
    mkdirSync(root, { recursive: true });
    for (const layer of [nodeImage, criu]) {
      await run('cp', ['--archive', `${layer}/.`, root], { timeoutMs: 300_000 });
    }
    mkdirSync(join(root, 'usr/lib/modules'), { recursive: true });
    for (const name of names) await addKernel(nodeImage, name, scratch, join(content, name));
    await makeDisk(root, join(content, 'root.img'));
  });
  const kernelOf = (name: Kernel) => ({ kernel: join(dir, name, 'vmlinuz'), initramfs: join(dir, name, 'initramfs') });
  return { kernels: { default: kernelOf('default'), old: kernelOf('old') }, root: join(dir, 'root.img') };
}

/** Adds the modules of a kernel to the root in `scratch`; kernel and initramfs go to `to`. */
async function addKernel(nodeImage: string, name: Kernel, scratch: string, to: string): Promise<void> {
  const from = kernelSuites[name];
  const unpacked = join(scratch, name);
  const packages = [kernelPackage, 'busybox-static'];
  const files = await downloadPackages(nodeImage, from, join(scratch, `apt-${name}`), packages, {
    standsFor: kernelPackage,
  });
  for (const file of files) await run('dpkg-deb', ['--extract', file, unpacked]);
  // Older packages do not know that /bin and /lib are links into /usr.
  const found = (path: string) => [join(unpacked, 'usr', path), join(unpacked, path)].find((file) => existsSync(file));
  const [modules, busybox] = [found('lib/modules'), found('bin/busybox')];
  const [version] = modules === undefined ? [] : readdirSync(modules);
  if (modules === undefined || version === undefined || busybox === undefined) {
    throw new RankshiftError(
      'E_MISSING',
      `the kernel package of ${from} holds no kernel, or that of busybox no busybox`,
    );
  }
  const root = join(scratch, 'root');
  await run('cp', ['--archive', join(modules, version), join(root, 'usr/lib/modules')]);
  await run('chroot', [root, 'depmod', version], { timeoutMs: 120_000 });
  mkdirSync(to, { recursive: true });
  copyFileSync(join(unpacked, 'boot', `vmlinuz-${version}`), join(to, 'vmlinuz'));
  await addInitramfs(root, version, busybox, join(to, 'initramfs'));
}

/** Modules lie in it unpacked, with their order in a file: the shell of an initramfs has no modprobe that resolves. */
async function addInitramfs(root: string, version: string, busybox: string, to: string): Promise<void> {
  for (const dir of ['bin', 'proc', 'sys', 'dev', 'modules', 'seed']) mkdirSync(join(to, dir), { recursive: true });
  cpSync(busybox, join(to, 'bin/busybox'));
  cpSync(join(scriptDir, 'vm-init'), join(to, 'init'));
  const argv = [root, 'modprobe', '--set-version', version, '--all', '--show-depends', ...earlyModules];
  const { stdout } = await run('chroot', argv, { timeoutMs: 60_000 });
  // `builtin NAME` needs nothing.
  const files = [...new Set([...stdout.matchAll(/^insmod (\S+)/gm)].flatMap(([, file]) => file ?? []))];
  const order: string[] = [];
  for (const file of files) {
    const copy = join(to, 'modules', basename(file));
    cpSync(join(root, file), copy);
    if (copy.endsWith('.xz')) await run('xz', ['--decompress', copy]);
    order.push(basename(file).replace(/\.xz$/, ''));
  }
  writeFileSync(join(to, 'modules/order'), `${order.join('\n')}\n`);
}
