import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { cgroupDirectory } from '../container/find-init.ts';
import { runcRoot } from '../container/runtime.ts';
import { parseContainerId } from '../migration/container.ts';
import { migrationIdSchema } from '../migration/record.ts';

export interface Orphans {
  /** `JOB.INDEX`: processes, directories or runc's knowledge of containers that no file of ours claims. */
  containers: string[];
  /** Directories of migrations without a role: their removal was broken off. */
  migrations: string[];
}

/**
 * What a killed agent left here in the middle of a start or a removal, beside the network (sweep.ts finds that). Only at
 * the start of an agent: later a start may be under way.
 */
export async function listOrphans(
  config: Config,
  keepContainers: ReadonlySet<string>,
  keepMigrations: ReadonlySet<string>,
): Promise<Orphans> {
  const cgroups = join(await cgroupDirectory(1, 0), '..');
  const [directories, groups, known, migrations] = await Promise.all(
    [join(config.stateDir, 'containers'), cgroups, runcRoot(config), join(config.stateDir, 'migrations')].map(list),
  );
  const named = [...(groups ?? []), ...(known ?? [])].map((name) => name.replace(/^rs-(\d+)-(\d+)$/, '$1.$2'));
  const containers = [...new Set([...(directories ?? []), ...named])].filter((name) => {
    const parsed = parseContainerId(name);
    return parsed !== null && parsed.index !== null && !keepContainers.has(name);
  });
  return {
    containers,
    migrations: (migrations ?? []).filter(
      (name) => migrationIdSchema.safeParse(name).success && !keepMigrations.has(name),
    ),
  };
}

function list(directory: string): Promise<string[]> {
  return readdir(directory).catch(() => []);
}
