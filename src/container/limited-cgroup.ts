import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { killCgroup } from './cgroup.ts';
import { deleteContainer, runRunc } from './runtime.ts';

const bundleSchema = z.looseObject({ linux: z.looseObject({ cgroupsPath: z.string(), resources: z.unknown() }) });

/**
 * Makes a container's cgroup with the limits and the device filter of its bundle before anything runs in it, so that
 * a restore finds it ready. runc makes it, as for any container: for one of the same name with nothing in it, whose first
 * process is killed before it runs anything. runc then knows a stopped container, and `runc delete` removes both.
 * Where the cgroup is there already, nothing is done.
 * @param bundle runc's bundle of the container.
 */
export async function makeLimitedCgroup(config: Config, id: string, cgroup: string, bundle: string): Promise<void> {
  if (await exists(cgroup)) return;
  const { linux } = bundleSchema.parse(JSON.parse(await readFile(join(bundle, 'config.json'), 'utf8')));
  const hollow = join(bundle, 'hollow');
  try {
    await mkdir(join(hollow, 'rootfs'), { recursive: true, mode: 0o700 });
    await writeFile(join(hollow, 'config.json'), JSON.stringify(hollowConfig(linux)), { mode: 0o600 });
    // runc looks whether its program is there.
    await writeFile(join(hollow, 'rootfs', 'never'), '', { mode: 0o700 });
    // What an earlier attempt left in runc's memory without a cgroup.
    await deleteContainer(config, id);
    await runRunc(config, ['create', '--no-new-keyring', '--bundle', hollow, id]);
    await killCgroup(cgroup);
  } finally {
    await rm(hollow, { recursive: true, force: true });
  }
}

/** No mount but what runc insists on: /proc, and a /dev so that it makes no device nodes. */
function hollowConfig({ cgroupsPath, resources }: { cgroupsPath: string; resources?: unknown }): object {
  return {
    ociVersion: '1.0.2',
    process: { user: { uid: 0, gid: 0 }, args: ['/never'], cwd: '/', noNewPrivileges: true },
    root: { path: 'rootfs' },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'bind', source: '/dev', options: ['bind', 'ro'] },
    ],
    linux: { namespaces: [{ type: 'pid' }, { type: 'mount' }], cgroupsPath, resources },
  };
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
