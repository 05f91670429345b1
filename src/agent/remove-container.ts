import { existsSync } from 'node:fs';
import { containerDir } from '../config.ts';
import { cgroupDirectory } from '../container/find-init.ts';
import { unmountRootfs } from '../container/rootfs.ts';
import { deleteContainer, killContainer, removeCgroup, runcId } from '../container/runtime.ts';
import { parseContainerId } from '../migration/container.ts';
import { unplug } from '../network/endpoint.ts';
import { hold } from '../network/hold.ts';
import { overlayIdentity } from '../network/identity.ts';
import { removeOverlayIfUnused } from '../network/overlay.ts';
import { allOf } from '../process/all-of.ts';
import { unconfineContainer } from './confine-container.ts';
import type { AgentContext } from './context.ts';
import { exclusively, overlayOf, removalOf } from './exclusively.ts';
import { removeDirectory } from './files.ts';

/**
 * Removes a container from this node, whatever state it is in: held first, so that its dying sockets send nothing to
 * the peers, then killed (works on frozen ones), then everything that it had. Idempotent; waits for a removal that is
 * under way.
 */
export async function removeContainer(context: AgentContext, container: string): Promise<void> {
  await exclusively(context, removalOf(container), () => remove(context, container));
}

/** Waits for a removal that is under way: what is made meanwhile under the same name would be removed with it. */
export async function removalEnded(context: Pick<AgentContext, 'operations'>, container: string): Promise<void> {
  await exclusively(context, removalOf(container), async () => undefined);
}

/** True where nothing of a container is left here: its directory goes last. Waits for a removal that is under way. */
export async function isRemoved(context: AgentContext, container: string): Promise<boolean> {
  await removalEnded(context, container);
  return !existsSync(containerDir(context.config, container));
}

async function remove(context: AgentContext, container: string): Promise<void> {
  const { config } = context;
  const parsed = parseContainerId(container);
  if (parsed === null || parsed.index === null) throw new Error(`not a container: ${container}`);
  const identity = overlayIdentity(parsed.job, parsed.index, config);
  // Where there is no port any more there is nothing to hold.
  await hold(identity).catch(() => undefined);
  const id = runcId(parsed.job, parsed.index);
  const cgroup = await cgroupDirectory(parsed.job, parsed.index);
  await killContainer(config, id, cgroup);
  const { job, index } = parsed;
  // None of these needs another, now that no process of it is left.
  await allOf([
    async () => {
      await deleteContainer(config, id);
      // What CRIU began to restore has a cgroup that runc does not know.
      await removeCgroup(cgroup);
      await unconfineContainer(job, index);
    },
    () => unplug(identity),
    () => unmountRootfs(containerDir(config, container)),
  ]);
  await exclusively(context, overlayOf(job), () => removeOverlayIfUnused(identity.vni));
  // By this directory what is left undone is found again.
  await removeDirectory(containerDir(config, container));
}
