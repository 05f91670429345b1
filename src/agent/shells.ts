import { randomUUID } from 'node:crypto';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { cgroupDirectory } from '../container/find-init.ts';
import { killCgroup, removeCgroup } from '../container/runtime.ts';
import type { ContainerFacts } from '../migration/commands.ts';
import type { OpenShell } from '../migration/shell.ts';

/** Name of a shell's cgroup, below its container's: rankshift-pages passes over those (src/pages/processes.c). */
const shellPrefix = 'shell-';
const attempts = 10;

export interface ShellEntry extends OpenShell {
  cgroup: string;
  /** Why it is ended from outside, for whoever is at it. */
  tell: (why: string) => Promise<void>;
}

/** The shells of this node's containers. */
export class OpenShells {
  readonly #entries = new Map<string, Set<ShellEntry>>();

  add(container: string, entry: ShellEntry): () => void {
    const entries = this.#entries.get(container) ?? new Set();
    this.#entries.set(container, entries.add(entry));
    return () => {
      entries.delete(entry);
      if (entries.size === 0) this.#entries.delete(container);
    };
  }

  of(container: string): OpenShell[] {
    return [...(this.#entries.get(container) ?? [])].map(({ user, onMove }) => ({ user, onMove }));
  }

  /** Tells who is at them, briefly, and ends every shell of a container with all that was started in it. */
  async close({ id, job, index }: ContainerFacts, why: string): Promise<void> {
    const told = [...(this.#entries.get(id) ?? [])].map(({ tell }) => tell(why).catch(() => undefined));
    await Promise.race([Promise.all(told), new Promise((resolve) => setTimeout(resolve, 200).unref())]);
    await killLeftShells({ job, index });
  }
}

/** A new cgroup for a shell: what is started in it is found there, whatever becomes of its parents. */
export async function makeShellCgroup(containerCgroup: string): Promise<string> {
  const cgroup = join(containerCgroup, `${shellPrefix}${randomUUID().slice(0, 8)}`);
  await mkdir(cgroup);
  return cgroup;
}

export async function removeShellCgroup(cgroup: string): Promise<void> {
  for (let left = attempts; ; left--) {
    await killCgroup(cgroup);
    try {
      return await removeCgroup(cgroup);
    } catch (error) {
      // One that was about to go in: it is the next to be killed, and once the cgroup is gone none can go in.
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY' || left === 0) throw error;
    }
  }
}

/** Ends all that runs in shells of a container. @throws RankshiftError E_TIMEOUT where something survives. */
export async function killLeftShells({ job, index }: Pick<ContainerFacts, 'job' | 'index'>): Promise<void> {
  const cgroup = await cgroupDirectory(job, index);
  const names = await readdir(cgroup).catch(() => []);
  const shells = names.filter((name) => name.startsWith(shellPrefix));
  await Promise.all(shells.map((name) => removeShellCgroup(join(cgroup, name))));
}
