import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RankshiftError } from '../../errors.ts';
import { lastLines } from '../../process/run.ts';
import { createNodeCgroup } from '../cgroups.ts';
import { scriptDir, testbedPaths } from '../paths.ts';
import { type InitProcess, isRunning, processAt } from '../start-node.ts';
import type { NodeState, TestbedState } from '../state.ts';
import { writeInitramfs } from './initramfs.ts';
import type { MachineImage } from './machine-image.ts';

export interface MachineFiles {
  image: MachineImage;
  /** Disks of the install tree and of its modules, and of the layers of the container image. */
  install: string;
  modules: string;
  layers: { hex: string; disk: string }[];
  /** The node's own files, uppermost directory first. */
  seeds: string[];
  stateSize: string;
  memoryMib: number;
  services: string[];
}

/** Until the services are started, on a machine that has other things to do. */
const bootDeadlineMs = 600_000;
/** cmpxchg16b makes the emulation of QEMU 7 and 8 stop the guest; this model has all that Node needs. */
const cpuModel = 'Nehalem,-cx16';

/**
 * Starts a compute node as a virtual machine of QEMU, without hardware's help: the distribution's own kernel, the node
 * image as its disk, a tap on the testbed's bridge. Released by destroyCgroup, as every node.
 * @returns QEMU's process.
 * @throws RankshiftError E_COMMAND with the console's last lines where it does not come up.
 */
export async function startMachine(state: TestbedState, node: NodeState, files: MachineFiles): Promise<InitProcess> {
  const paths = testbedPaths(state.name);
  const dir = join(paths.nodesDir, node.name);
  mkdirSync(dir, { recursive: true });
  const cgroups = state.cgroups.map(({ controller, dir: parent }) => createNodeCgroup(controller, parent, node.name));
  const initramfs = join(dir, 'initramfs.img');
  await writeInitramfs(files.image.kernels[node.kernel].initramfs, files.seeds, initramfs);
  const procs = cgroups.map((path) => join(path, 'cgroup.procs'));
  const start = (name: string, argv: string[]) => {
    const log = openSync(join(paths.nodesDir, `${node.name}.${name}`), 'w');
    const child = spawn(join(scriptDir, 'start-machine'), [...procs, '--', ...argv], {
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    child.unref();
    return child.pid ?? 0;
  };
  const socket = join(dir, 'share.sock');
  start('share.log', shareArgv(socket, state.dataDir));
  const deadline = performance.now() + bootDeadlineMs;
  while (!existsSync(socket) && performance.now() < deadline) await sleep(20);
  const pid = start('log', ['nsenter', `--net=${paths.fabric}`, ...qemuArgv(node, files, initramfs, socket)]);
  const init = processAt(pid);
  const consoleFile = join(paths.nodesDir, `${node.name}.log`);
  while (performance.now() < deadline && isRunning(init)) {
    if (/vm-node: started/.test(readFileSync(consoleFile, 'utf8'))) return init;
    await sleep(100);
  }
  const lines = lastLines(readFileSync(consoleFile, 'utf8'), 5);
  throw new RankshiftError('E_COMMAND', `machine ${node.name} did not start: ${lines.join(' | ')}`, { lines });
}

function qemuArgv(node: NodeState, files: MachineFiles, initramfs: string, socket: string): string[] {
  const { image, install, modules, layers, memoryMib, services, stateSize } = files;
  const disks = [image.root, install, modules, ...layers.map(({ disk }) => disk)];
  const parameters = [
    ...['console=ttyS0', 'quiet', 'panic=1', 'mitigations=off', 'clocksource=hpet', 'tsc=unstable'],
    `rankshift.layers=${layers.map(({ hex }) => hex).join(',')}`,
    `rankshift.state=${stateSize}`,
    `rankshift.boot=${[node.role, node.address, ...services].join(',')}`,
  ];
  return [
    ...['qemu-system-x86_64', '-accel', 'tcg,thread=multi', '-cpu', cpuModel, '-smp', '1', '-nographic', '-no-reboot'],
    ...['-m', String(memoryMib), '-nodefaults', '-serial', 'stdio'],
    ...['-object', `memory-backend-memfd,id=memory,size=${memoryMib}M,share=on`, '-numa', 'node,memdev=memory'],
    ...['-kernel', image.kernels[node.kernel].kernel, '-initrd', initramfs, '-append', parameters.join(' ')],
    ...disks.flatMap((file) => ['-drive', `file=${file},if=virtio,format=raw,readonly=on`]),
    ...['-chardev', `socket,id=share,path=${socket}`, '-device', 'vhost-user-fs-pci,chardev=share,tag=testbed'],
    ...['-netdev', `tap,id=net,ifname=${node.name},script=no,downscript=no`],
    ...['-device', `virtio-net-pci,netdev=net,mac=${node.mac},romfile=`],
    ...['-object', 'rng-random,id=random,filename=/dev/urandom', '-device', 'virtio-rng-pci,rng=random'],
  ];
}

/** The daemon of virtiofs: QEMU's own of old, or the one that took its place. */
function shareArgv(socket: string, dir: string): string[] {
  const own = '/usr/lib/qemu/virtiofsd';
  if (existsSync(own)) {
    return [own, `--socket-path=${socket}`, '-o', `source=${dir}`, '-o', 'sandbox=chroot', '--rlimit-nofile=0'];
  }
  return ['/usr/libexec/virtiofsd', '--socket-path', socket, '--shared-dir', dir, '--sandbox', 'chroot'];
}
