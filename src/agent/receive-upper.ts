import { dirname, join } from 'node:path';
import type { Channel } from '../channel/channel.ts';
import type { ContainerFacts } from '../migration/commands.ts';
import { upperTarget } from '../upper/upper-target.ts';
import { mountContainer } from './build-container.ts';
import type { AgentContext } from './context.ts';
import { upperProgramOf } from './local-handle.ts';

/**
 * Takes a container's upper directory from its source, in passes, and mounts its root file system when all is there:
 * overlayfs does not look kindly on an upper directory that changes below it.
 * @throws RankshiftError E_TARGET_FULL, E_BUSY, E_LINK.
 */
export async function receiveUpper(
  { config }: AgentContext,
  channel: Channel,
  facts: ContainerFacts,
  directory: string,
): Promise<void> {
  const onPass = () => void channel.send({ op: 'applied' }).catch(() => undefined);
  const stage = join(dirname(directory), 'stage');
  await channel.pipeOut(upperTarget({ program: upperProgramOf(config), directory, stage, onPass }));
  await mountContainer(config, facts);
}
