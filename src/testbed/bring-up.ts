import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RankshiftError } from '../errors.ts';
import { findHierarchies, testbedCgroup } from './cgroups.ts';
import { execInNode } from './exec.ts';
import { createFabric } from './fabric.ts';
import { setHostSysctls } from './host-sysctls.ts';
import { ensureImages, type ImageOptions, type Images } from './images/ensure-images.ts';
import { withLock } from './lock.ts';
import { lockFile, testbedPaths } from './paths.ts';
import { planNodes, type TestbedSize } from './plan-nodes.ts';
import { checkPrerequisites } from './prerequisites.ts';
import { buildSeed } from './seed/build-seed.ts';
import { writeContainerImage } from './seed/container-images.ts';
import { isBuilt, servicesOf } from './services.ts';
import { startNode } from './start-node.ts';
import { findState, listTestbeds, type Profile, type TestbedState, writeState } from './state.ts';
import { release } from './take-down.ts';
import { Testbed } from './testbed.ts';
import { startMachines } from './vm/start-machines.ts';

export interface BringUpOptions extends Partial<TestbedSize>, ImageOptions {
  /** @defaultValue default */
  name?: string;
  /** Size of each node's /var/lib/rankshift, as of tmpfs(5); memory is taken for what is written. @defaultValue 8g */
  stateSize?: string;
  /** Give each node an image store of its own instead of one that all see. @defaultValue false */
  privateImages?: boolean;
  /** How Slurm is set up (seed/slurm-conf.ts). @defaultValue plain */
  profile?: Profile;
  /** Keys of rankshift.conf, on all nodes. */
  config?: Record<string, string>;
  /** Start controller and agents. @defaultValue true where the install tree is built */
  services?: boolean;
  /** What a person may want to read while it takes time. */
  progress?: (line: string) => void;
}

/** From the start of the services to all nodes idle; one to two seconds as a rule, more on a loaded machine. */
const readyDeadlineMs = 60_000;
/** The same where compute nodes are virtual machines. */
const machinesReadyDeadlineMs = 600_000;

/**
 * Starts a virtual Slurm cluster and returns when its nodes are idle and Redis answers. Builds images where the cache
 * lacks them. On failure everything is released.
 * @throws RankshiftError E_NOT_PERMITTED, E_MISSING with what to install, E_BUSY where that testbed is up already.
 */
export async function bringUp(options: BringUpOptions = {}): Promise<Testbed> {
  const { name = 'default', vm = false, oldKernels = 0, progress = () => undefined } = options;
  const { nodes = vm ? 2 : 3, cpusPerNode = vm ? 1 : 2, profile = 'plain' } = options;
  const paths = testbedPaths(name);
  await checkPrerequisites({ vm });
  const images = await ensureImages(progress, options);
  return await withLock(paths.lockFile, readyDeadlineMs, async () => {
    const earlier = findState(name);
    if (earlier?.stage === 'up') {
      throw new RankshiftError('E_BUSY', `testbed ${name} is up already`, {
        action: `Use it, remove it with: rankshift testbed down --name ${name}, or give --name another name.`,
      });
    }
    await release(name); // What a killed `up` left.
    const state = await reserve(name, { nodes, cpusPerNode, vm, oldKernels }, profile);
    try {
      await start(state, images, options);
    } catch (error) {
      await release(name);
      throw error;
    }
    return new Testbed(state);
  });
}

/** Chooses a subnet that no other testbed has, and writes the state: from here on `down` knows the testbed. */
async function reserve(name: string, size: TestbedSize, profile: Profile): Promise<TestbedState> {
  return await withLock(lockFile('machine'), 10_000, async () => {
    const others = listTestbeds().filter((other) => other !== name);
    const taken = others.map((other) => findState(other)?.subnet);
    const third = Array.from({ length: 254 }, (_, index) => index + 1).find((n) => !taken.includes(`10.213.${n}`));
    if (third === undefined) throw new RankshiftError('E_BAD_INPUT', 'no subnet is left: 254 testbeds exist');
    const subnet = `10.213.${third}`;
    const cgroups = findHierarchies().map(({ controller, mount }) => ({
      controller,
      mount,
      dir: testbedCgroup(mount, name),
    }));
    const state: TestbedState = {
      version: 1,
      name,
      stage: 'starting',
      subnet,
      dataDir: testbedPaths(name).dataDir,
      cpusPerNode: size.cpusPerNode,
      profile,
      cgroups,
      nodes: planNodes(subnet, size),
    };
    writeState(state);
    setHostSysctls();
    return state;
  });
}

async function start(state: TestbedState, images: Images, options: BringUpOptions): Promise<void> {
  const { stateSize = '8g', privateImages = false, services = isBuilt(), progress = () => undefined } = options;
  const paths = testbedPaths(state.name);
  for (const dir of [paths.homeDir, paths.imagesDir, paths.redisDir, paths.nodesDir]) {
    mkdirSync(dir, { recursive: true, mode: 0o755 });
  }
  progress(`testbed ${state.name}: ${state.nodes.map(({ name }) => name).join(' ')}`);
  const seeds = await buildSeed(state, images.nodeLower.at(-1) ?? '', options.config ?? {});
  const machines = state.nodes.filter(({ kind }) => kind === 'machine');
  // Each layer is a disk of a machine: only what is needed.
  const containers = machines.length > 0 ? { mpi: images.containers.mpi } : images.containers;
  const layers = [...new Map(Object.values(containers).flatMap((all) => all.map((one) => [one.hex, one]))).values()];
  const imagesDir = (node: string) => (privateImages ? join(paths.imagesDir, node) : paths.imagesDir);
  const stores = new Set(state.nodes.map(({ name }) => imagesDir(name)));
  for (const store of stores) {
    for (const [name, ofImage] of Object.entries(containers)) await writeContainerImage(store, name, ofImage);
  }
  await Promise.all(
    state.nodes.map(async (node) => {
      if (node.kind === 'machine') return;
      const lower = [...seeds(node.name), ...images.nodeLower];
      node.init = await startNode(state, node, { lower, layers, imagesDir: imagesDir(node.name), stateSize });
    }),
  );
  writeState(state);
  await createFabric(state);
  const boot = async (node: (typeof state.nodes)[number]) => {
    const argv = ['boot-node', node.role, node.address, ...servicesOf(node.role, services)];
    await execInNode(state, node.name, argv, { timeoutMs: readyDeadlineMs });
  };
  // slurmd registers at once where slurmctld listens already.
  const [management, ...others] = state.nodes;
  if (management !== undefined) await boot(management);
  await Promise.all(others.filter(({ kind }) => kind !== 'machine').map(boot));
  if (machines.length > 0) {
    const boots = servicesOf('compute', services);
    await startMachines(state, machines, {
      image: images.nodeLower.at(-1) ?? '',
      layers,
      seeds,
      stateSize,
      boots,
      progress,
    });
  }
  await waitUntilReady(state, machines.length > 0 ? machinesReadyDeadlineMs : readyDeadlineMs);
  state.stage = 'up';
  writeState(state);
}

async function waitUntilReady(state: TestbedState, deadlineMs: number): Promise<void> {
  const compute = state.nodes.filter(({ role }) => role === 'compute').length;
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const sinfo = await execInNode(state, 'ctl', ['sinfo', '--noheader', '--Node', '--format=%T'], { allow: 'any' });
    const idle = sinfo.stdout.split('\n').filter((line) => line === 'idle').length;
    if (idle === compute) return;
    if (performance.now() > deadline) {
      const lines = [sinfo.stdout.trim(), sinfo.stderr.trim()].filter((line) => line !== '');
      throw new RankshiftError('E_SLURM', `the nodes did not become idle: ${lines.join(' | ')}`, { lines });
    }
    await sleep(50);
  }
}
