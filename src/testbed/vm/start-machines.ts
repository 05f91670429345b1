import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RankshiftError } from '../../errors.ts';
import { execInNode } from '../exec.ts';
import type { Images, Layer } from '../images/ensure-images.ts';
import { testbedPaths } from '../paths.ts';
import { type NodeState, type TestbedState, writeState } from '../state.ts';
import { ensureLayerDisk } from './disk.ts';
import { ensureModulesDisk, makeInstallDisk } from './install-disk.ts';
import { startMachine } from './machine.ts';
import { connectArgv } from './machine-argv.ts';
import { ensureMachineImage } from './machine-image.ts';

export interface MachinesOptions {
  /** The node image in the cache. */
  image: string;
  layers: readonly Layer[];
  seeds: (node: string) => string[];
  stateSize: string;
  /** Services that they start. */
  boots: string[];
  progress: (line: string) => void;
}

const memoryMib = 1536;
const connectMs = 330_000;

/** Starts all virtual machines of a testbed at once, and returns when their services are started and ssh answers. */
export async function startMachines(
  state: TestbedState,
  machines: readonly NodeState[],
  { image, layers, seeds, stateSize, boots, progress }: MachinesOptions,
): Promise<void> {
  const machineImage = await ensureMachineImage(image, progress);
  const modules = await ensureModulesDisk();
  const disks: { hex: string; disk: string }[] = [];
  for (const { hex, dir } of layers) disks.push({ hex, disk: await ensureLayerDisk(dir) });
  const install = join(testbedPaths(state.name).nodesDir, 'install.img');
  await makeInstallDisk(install);
  progress(`${machines.length} machines start, without hardware's help: a minute, more on a busy machine`);
  const common = { image: machineImage, install, modules, layers: disks, stateSize, memoryMib, services: boots };
  await Promise.all(
    machines.map(async (node) => {
      node.init = await startMachine(state, node, { ...common, seeds: seeds(node.name) });
      await connect(state, node);
      progress(`${node.name} is there`);
    }),
  );
  writeState(state);
}

/** A machine that has much to do may refuse the first ones. */
const tries = 5;

async function connect(state: TestbedState, node: NodeState): Promise<void> {
  const [management] = state.nodes;
  const log = `/var/log/rankshift/ssh-${node.name}`;
  const argv = connectArgv(node, log);
  for (let left = tries; ; left--) {
    try {
      await execInNode(state, management?.name ?? '', argv, { timeoutMs: connectMs });
      return;
    } catch (error) {
      if (left === 1) {
        const { stdout } = await execInNode(state, management?.name ?? '', ['tail', '-n', '30', log], { allow: 'any' });
        const lines = stdout.split('\n').filter((line) => line !== '');
        throw new RankshiftError('E_COMMAND', `ssh to ${node.name} fails: ${lines.join(' | ')}`, {
          lines,
          cause: error,
        });
      }
      await sleep(2000);
    }
  }
}

/** What machines start from, as far as it lies in the cache. */
export async function ensureMachines({ nodeLower, containers }: Images, progress: (line: string) => void) {
  await ensureMachineImage(nodeLower.at(-1) ?? '', progress);
  await ensureModulesDisk();
  for (const { dir } of containers.mpi) await ensureLayerDisk(dir);
}
