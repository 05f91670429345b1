import { readySchema } from '../agent/messages.ts';
import type { Lines } from '../api/lines.ts';
import type { Conversation } from '../api/upgrade.ts';
import type { Channel } from '../channel/channel.ts';
import type { Credentials } from '../channel/credentials.ts';
import { openChannel } from '../channel/open-channel.ts';
import { RankshiftError } from '../errors.ts';
import type { ContainerRecord } from '../migration/container.ts';
import { fromShellSchema, shellStartSchema, toShellSchema } from '../migration/shell.ts';
import { patiently } from '../patience.ts';
import { type Caller, identifyCaller } from './authorize.ts';
import type { ControllerContext } from './context.ts';
import { agentAddress } from './node-facts.ts';
import { findContainer } from './requests.ts';

/** A program may be silent for days; whether the agent lives the channel itself watches. */
const patienceMs = 2_000_000_000;

/** `rankshift shell`: between the command line and the agent that has the container. Either end's end is the other's. */
export function shellConversation(context: ControllerContext, credentials: Credentials): Conversation {
  return {
    path: '/v1/containers/:id/shell',
    open: async ({ uid }, params) => {
      if (!context.config.shell) {
        throw new RankshiftError('E_NOT_PERMITTED', 'shells are not permitted on this cluster', {
          action: 'An administrator may set Shell=yes in the configuration of the controller.',
        });
      }
      const caller = await identifyCaller(context, uid);
      const container = await findContainer(context, caller, params['id'] ?? '');
      if (container.migration !== '') {
        throw new RankshiftError('E_BUSY', `${container.id} is being moved (migration ${container.migration})`);
      }
      const address = await agentAddress(context, container.owner);
      return async (lines) => {
        const channel = await openChannel({ ...address, credentials, timeoutMs: patiently(5000) });
        try {
          await relay(lines, channel, container, caller);
        } finally {
          channel.destroy();
        }
      };
    },
  };
}

async function relay(lines: Lines, channel: Channel, { id }: ContainerRecord, { name }: Caller): Promise<void> {
  const values = lines.values();
  const first = await values.next();
  if (first.done === true) return;
  await channel.send({ op: 'shell', container: id, by: name, start: read(shellStartSchema, first.value) });
  await channel.next(readySchema, { timeoutMs: patiently(10_000) });
  const down = async () => {
    for (;;) {
      const message = await channel.next(fromShellSchema, { timeoutMs: patienceMs });
      await lines.send(message);
      if (message.type === 'exit') return;
    }
  };
  const up = async () => {
    for await (const value of values) await channel.send(read(toShellSchema, value));
  };
  const both = [down(), up()];
  for (const one of both) one.catch(() => undefined);
  await Promise.race(both);
}

function read<T>(schema: { safeParse(value: unknown): { success: boolean; data?: T | undefined } }, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success && parsed.data !== undefined) return parsed.data;
  throw new RankshiftError('E_BAD_INPUT', 'a message for the shell is not understood');
}
