import { join } from 'node:path';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { RankshiftError } from '../errors.ts';
import { run } from '../process/run.ts';
import { containerCgroup, killCgroup } from './cgroup.ts';
import { runcRoot, runRunc } from './runc.ts';

export { containerCgroup, freeze, isFrozen, killCgroup, processesOf, removeCgroup, thaw } from './cgroup.ts';
export { runcId, runcRoot, runRunc } from './runc.ts';

/** The part of `runc state` that is used (runtime-spec, runtime.md, "State"). */
const stateSchema = z.object({ pid: z.number().int(), status: z.string() });
export type RuntimeState = z.infer<typeof stateSchema>;

/**
 * Creates and starts the container of a bundle.
 * @param containerDir the container's directory, with bundle/config.json and the mounted root file system.
 * @returns the process id of its PID 1 on this node.
 */
export async function createAndStart(config: Config, id: string, containerDir: string): Promise<number> {
  await runRunc(config, ['run', '--detach', '--bundle', join(containerDir, 'bundle'), id]);
  const pid = await initPid(config, id);
  if (pid === null) throw new RankshiftError('E_COMMAND', `container ${id} ended as soon as it was started`);
  return pid;
}

/** What runc knows of a container, null where it knows none. */
export async function runtimeState(config: Config, id: string): Promise<RuntimeState | null> {
  const { exitCode, stdout, stderr } = await run(config.runcPath, ['--root', runcRoot(config), 'state', id], {
    allow: 'any',
  });
  if (exitCode === 0) return stateSchema.parse(JSON.parse(stdout));
  if (/does not exist/.test(stderr)) return null;
  throw new RankshiftError('E_COMMAND', `runc state ${id}: ${stderr.trim()}`);
}

/** Process id of a container's PID 1 on this node; null where the container does not run (any more). */
export async function initPid(config: Config, id: string): Promise<number | null> {
  const state = await runtimeState(config, id);
  return state === null || state.status === 'stopped' || state.pid === 0 ? null : state.pid;
}

/**
 * Kills every process of a container, also of a frozen one, and returns when none is left.
 * @param cgroupDir where it is known already, which saves asking runc.
 * @throws RankshiftError E_TIMEOUT where processes survive.
 */
export async function killContainer(config: Config, id: string, cgroupDir?: string): Promise<void> {
  const directory = cgroupDir ?? (await cgroupOf(config, id));
  if (directory === null) return;
  try {
    await killCgroup(directory);
  } catch (error) {
    if (RankshiftError.from(error).code !== 'E_MISSING') throw error;
    // A kernel before 5.14: runc thaws what is frozen after the signal.
    await run(config.runcPath, ['--root', runcRoot(config), 'kill', id, 'KILL'], { allow: 'any' });
  }
}

async function cgroupOf(config: Config, id: string): Promise<string | null> {
  const pid = await initPid(config, id);
  return pid === null ? null : containerCgroup(pid);
}

/** Removes a container with its cgroup from runc, killing it where it still runs. An unknown one is done. */
export async function deleteContainer(config: Config, id: string): Promise<void> {
  await run(config.runcPath, ['--root', runcRoot(config), 'delete', '--force', id]);
}
