import { createHmac } from 'node:crypto';
import { join } from 'node:path';
import { type Config, containerDir } from '../config.ts';
import { nodeControllers, writeBundle } from '../container/bundle.ts';
import { cgroupDirectory, cgroupPath } from '../container/find-init.ts';
import { layerPath } from '../container/images/store.ts';
import { makeLimitedCgroup } from '../container/limited-cgroup.ts';
import { ownLimits } from '../container/limits.ts';
import { mpiCommand, mpiEnvironment } from '../container/mpi/launch-plan.ts';
import { containerEnvironment } from '../container/mpi-environment.ts';
import { mountRootfs } from '../container/rootfs.ts';
import { runcId } from '../container/runtime.ts';
import { resolveSharedPaths } from '../container/shared-paths.ts';
import { shimFile } from '../container/shim-page.ts';
import { type ContainerSpec, ownDirectory } from '../container/spec.ts';
import { prepareUpper } from '../container/upper.ts';
import type { ContainerFacts, Places } from '../migration/commands.ts';
import { plug } from '../network/endpoint.ts';
import { overlayIdentity } from '../network/identity.ts';
import { ensureOverlay } from '../network/overlay.ts';
import { setPeers } from '../network/repoint.ts';
import type { AgentContext } from './context.ts';
import { exclusively, overlayOf } from './exclusively.ts';

/** Writes runc's bundle; the same on every node. */
export async function buildBundle(context: AgentContext, facts: ContainerFacts): Promise<void> {
  const { config } = context;
  const [controllers, sharedPaths] = await Promise.all([nodeControllers(), resolveSharedPaths(config.sharedPaths)]);
  await writeBundle(containerDir(config, facts.id), specOf(context, facts), {
    controllers,
    sharedPaths,
  });
}

/** The container's first upper directory; only a start makes it, a move brings it along. */
export async function buildUpper(context: AgentContext, facts: ContainerFacts): Promise<void> {
  const directory = containerDir(context.config, facts.id);
  await prepareUpper(context.config, specOf(context, facts), {
    containerDir: directory,
    layers: layersOf(context.config, facts),
  });
}

/** The container's cgroup with its limits, before it comes. */
export async function makeCgroup({ config }: AgentContext, { id, job, index }: ContainerFacts): Promise<void> {
  const bundle = join(containerDir(config, id), 'bundle');
  await makeLimitedCgroup(config, runcId(job, index), await cgroupDirectory(job, index), bundle);
}

export async function mountContainer(config: Config, facts: ContainerFacts): Promise<void> {
  await mountRootfs({ containerDir: containerDir(config, facts.id), layers: layersOf(config, facts) });
}

/** Overlay and network namespace of a container; `held`: nothing passes yet. */
export async function buildNetwork(
  context: AgentContext,
  facts: ContainerFacts,
  places: Places,
  held: boolean,
): Promise<void> {
  const { config, address } = context;
  const identityOf = (index: number) => overlayIdentity(facts.job, index, config);
  const identity = identityOf(facts.index);
  const localAddress = address;
  const elsewhere = Object.entries(places).filter(
    ([index, place]) => place !== address && Number(index) !== facts.index,
  );
  const others = Array.from({ length: facts.containers }, (_, index) => identityOf(index)).filter(
    (peer) => peer.ip !== identity.ip,
  );
  // Until it is plugged in, the overlay is no container's, and the last one to leave would take it away.
  await exclusively(context, overlayOf(facts.job), async () => {
    await ensureOverlay({ identity, localAddress, port: config.overlayPort, mtu: config.overlayMtu });
    await setPeers(
      identity.vni,
      elsewhere.map(([index, nodeAddress]) => ({ mac: identityOf(Number(index)).mac, nodeAddress })),
    );
    await plug({ identity, peers: others, held });
  });
}

/** Layers of the image, top first, as overlayfs wants them. */
function layersOf(config: Config, facts: ContainerFacts): string[] {
  return facts.layers.map((digest) => layerPath(config.imageStore, digest)).reverse();
}

/** The job's share of a node, as far as the node's cgroups know such limits, and what the agent itself may have. */
function limitsOf({ cpus, memoryBytes }: ContainerFacts): ContainerSpec['limits'] {
  return {
    ...ownLimits(),
    ...(cpus === null ? {} : { cpus }),
    ...(memoryBytes === null ? {} : { memoryBytes }),
  };
}

/** The shim comes first, so that what the image preloads comes between it and MPI. */
function preloadOf({ shim, imageEnvironment }: ContainerFacts): string | null {
  const ofImage = imageEnvironment.find((line) => line.startsWith('LD_PRELOAD='))?.slice('LD_PRELOAD='.length);
  if (!shim) return null;
  return [`${ownDirectory}/${shimFile}`, ...(ofImage ? [ofImage] : [])].join(':');
}

/** What a program that is started later finds, as the container's own do; nothing secret is in it. */
export function containerEnvironmentOf(context: AgentContext, facts: ContainerFacts): Record<string, string> {
  return specOf(context, facts).env;
}

function specOf({ config, launchKey }: AgentContext, facts: ContainerFacts): ContainerSpec {
  const { job, index, uid, gid, user, home, groups, image, ranksPerContainer, containers, program, workDir } = facts;
  const hosts = Array.from({ length: containers }, (_, other) => {
    const { name, ip } = overlayIdentity(job, other, config);
    return { name, ip, slots: ranksPerContainer };
  });
  const [file, ...args] = program ?? [];
  const ranks = ranksPerContainer * containers;
  // A container may come to share its node's processors with others: ranks give them up while they wait.
  const mpiOptions = { mpi: facts.mpi, hosts, oversubscribed: true };
  const pairs = facts.environment.map(
    (line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const,
  );
  return {
    ...{ job, index, uid, gid, user, home, groups, image, hosts, limits: limitsOf(facts) },
    cwd: workDir,
    command:
      file === undefined
        ? null
        : mpiCommand({
            ...mpiOptions,
            starter: facts.mpiStarter,
            ranks,
            preload: preloadOf(facts),
            program: file,
            args,
          }),
    env: containerEnvironment({
      image: facts.imageEnvironment,
      job: Object.fromEntries(pairs),
      user,
      home,
      jobId: job,
      mpi: mpiEnvironment(mpiOptions),
    }),
    netns: overlayIdentity(job, index, config).netns,
    cgroupPath: cgroupPath(job, index),
    // Only the nodes can derive it; it lies in no record and in no queue.
    secret: createHmac('sha256', launchKey).update(`launch ${facts.run}`).digest('hex'),
    sharedPaths: [...config.sharedPaths],
  };
}
