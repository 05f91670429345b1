import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

/** Resources of a container that exist outside of it: CRIU's --external options. */
export type Externals = { key: string; value: string }[];

const bundleSchema = z.object({
  mounts: z.array(z.object({ destination: z.string(), type: z.string().optional(), source: z.string().optional() })),
  linux: z.object({ maskedPaths: z.array(z.string()).default([]) }),
});

/**
 * What a dump must name as external, by the same names as `runc checkpoint` would use: bind mounts by their destination,
 * masked files as /dev/null, the network namespace as extRootNetNS (libcontainer, criu_linux.go).
 */
export async function readExternals(bundle: string, initPid: number): Promise<Externals> {
  const { mounts, linux } = await readBundle(bundle);
  const binds = mounts
    .filter(({ type }) => type === 'bind')
    .map(({ destination }) => external(destination, destination));
  const masked: Externals = [];
  for (const path of linux.maskedPaths) {
    const found = await stat(`/proc/${initPid}/root${path}`).catch(() => null);
    if (found !== null && !found.isDirectory()) masked.push(external(path, '/dev/null'));
  }
  const { ino } = await stat(`/proc/${initPid}/ns/net`);
  return [...binds, ...masked, { key: `net[${ino}]`, value: 'extRootNetNS' }];
}

/** What a restore must name: where on this node that is which the dump named. The network namespace goes as a descriptor. */
export async function readRestoreExternals(bundle: string): Promise<Externals> {
  const { mounts, linux } = await readBundle(bundle);
  const binds = mounts
    .filter(({ type }) => type === 'bind')
    .map(({ destination, source }) => external(destination, source ?? destination));
  return [...binds, ...(linux.maskedPaths.length > 0 ? [external('/dev/null', '/dev/null')] : [])];
}

async function readBundle(bundle: string) {
  return bundleSchema.parse(JSON.parse(await readFile(join(bundle, 'config.json'), 'utf8')));
}

const external = (mountPoint: string, name: string) => ({ key: `mnt[${mountPoint}]`, value: name });
