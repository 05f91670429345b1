import { basename } from 'node:path';
import type { Channel } from '../channel/channel.ts';
import { cgroupPath } from '../container/find-init.ts';
import { RankshiftError } from '../errors.ts';
import { type FromShell, type ShellStart, toShellSchema } from '../migration/shell.ts';
import { containerEnvironmentOf } from './build-container.ts';
import type { AgentContext } from './context.ts';
import { listRoles, readLocalContainer } from './files.ts';
import { describeLocal, type LocalHandle } from './local-handle.ts';
import { makeShellCgroup, removeShellCgroup } from './shells.ts';
import { type Inside, startInside } from './start-inside.ts';

/** A person may be silent for days. */
const patienceMs = 2_000_000_000;

export interface ShellOpening {
  container: string;
  by: string;
  start: ShellStart;
}

/**
 * A program in a container for a person, from its start to its end or the channel's: then all that it started is killed.
 * None is started while a switch of the container is under way, and a switch ends those that are there.
 */
export async function serveShell(context: AgentContext, channel: Channel, opening: ShellOpening): Promise<void> {
  const { config, node, log, shells } = context;
  const { container, by, start } = opening;
  const local = await readLocalContainer(config, container);
  if (local === null) throw new RankshiftError('E_STALE', `${container} is not on ${node}`);
  const handle = await describeLocal(context, local.facts);
  const cgroup = await makeShellCgroup(handle.cgroup);
  const tell = (why: string) => channel.send({ type: 'closed', why } satisfies FromShell);
  const forget = shells.add(container, { user: by, onMove: start.onMove, cgroup, tell });
  try {
    // After the registration: a switch writes its role first and then looks for shells, so one sees the other.
    if ((await listRoles(config)).some((role) => role.container === container))
      throw new RankshiftError('E_BUSY', `${container} is being moved`, { action: 'Try again when it has moved.' });
    log.info({ container, by, command: start.command?.[0] ?? 'a shell' }, 'shell opened');
    await channel.send({ op: 'ready' });
    await channel.send({ type: 'started', node } satisfies FromShell);
    await converse(channel, startInside(insideOf(context, handle, cgroup, start)));
  } finally {
    await removeShellCgroup(cgroup).finally(forget);
    log.info({ container, by, shell: basename(cgroup) }, 'shell closed');
  }
  await channel.close();
}

function insideOf(context: AgentContext, handle: LocalHandle, cgroup: string, { command, terminal }: ShellStart) {
  const { uid, gid, groups, job, index, workDir } = handle.facts;
  return {
    program: handle.nodeProgram,
    entry: [
      ...['--pid', String(handle.initPid), '--of', cgroupPath(job, index), '--into', cgroup],
      ...['--uid', String(uid), '--gid', String(gid), '--groups', groups.join(','), '--cwd', workDir],
    ],
    command,
    terminal,
    environment: {
      ...containerEnvironmentOf(context, handle.facts),
      ...(terminal === null ? {} : { TERM: terminal.type }),
    },
  };
}

/** Input goes in and output comes out until the program ends or the channel does. */
async function converse(channel: Channel, inside: Inside): Promise<void> {
  const listening = new AbortController();
  const listen = async () => {
    for (;;) {
      const message = await channel.next(toShellSchema, { timeoutMs: patienceMs, signal: listening.signal });
      if (message.type === 'input') await inside.write(Buffer.from(message.data, 'base64'));
      else if (message.type === 'size') inside.resize(message);
      else inside.endInput();
    }
  };
  const speak = async (): Promise<void> => {
    for await (const { to, bytes } of inside.output) {
      await channel.send({ type: 'output', to, data: bytes.toString('base64') } satisfies FromShell);
    }
    await channel.send({ type: 'exit', code: await inside.ended } satisfies FromShell);
  };
  const listened = listen();
  listened.catch(() => undefined);
  try {
    await Promise.race([speak(), listened, channel.closed.then(() => undefined)]);
  } finally {
    listening.abort();
    inside.end();
  }
}
