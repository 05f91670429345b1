import { readdir } from 'node:fs/promises';
import { z } from 'zod';
import { RankshiftError } from '../errors.ts';
import { run } from '../process/run.ts';
import { absent, batch } from './batch.ts';
import { netnsDir } from './endpoint.ts';
import { type DeviceRole, jobVni, parseDeviceName, parseNetnsName } from './identity.ts';
import { linkNames } from './overlay.ts';

/** By its full path: npm has a program of the same name, which comes first in the PATH that npm sets. */
const nft = '/usr/sbin/nft';

/** Everything of ours that this node's network holds. */
export interface OurNetwork {
  netns: { name: string; job: number; index: number }[];
  links: (DeviceRole & { name: string })[];
  /** nftables tables that an interrupted CRIU left in the node's own namespace. */
  tables: { family: string; name: string }[];
}

/** Lists what is ours, by its names alone. Changes nothing. */
export async function listOurs(): Promise<OurNetwork> {
  const [names, links, tables] = await Promise.all([netnsNames(), linkNames(), criuTables()]);
  return {
    netns: names.flatMap((name) => {
      const parsed = parseNetnsName(name);
      return parsed === null ? [] : [{ name, ...parsed }];
    }),
    links: links.flatMap((name) => {
      const role = parseDeviceName(name);
      return role === null ? [] : [{ name, ...role }];
    }),
    tables,
  };
}

/**
 * Removes everything of ours but what belongs to the containers to keep (`JOB.INDEX`). CRIU's tables go only where no
 * container is kept, since a dump may be using them.
 * @returns the names of what was removed.
 */
export async function removeLeftovers(keep: ReadonlySet<string>): Promise<string[]> {
  const ours = await listOurs();
  const kept = [...keep].map(parseId);
  const keptPorts = new Set(kept.map(({ job, index }) => `${jobVni(job)}.${index}`));
  const keptOverlays = new Set(kept.map(({ job }) => jobVni(job)));
  const links = ours.links
    .filter(({ kind, vni, index }) => (kind === 'port' ? !keptPorts.has(`${vni}.${index}`) : !keptOverlays.has(vni)))
    // Ports before bridges: what still dies in a namespace has no way out any more.
    .sort((a, b) => Number(b.kind === 'port') - Number(a.kind === 'port'))
    .map(({ name }) => name);
  const netns = ours.netns.filter(({ job, index }) => !keep.has(`${job}.${index}`)).map(({ name }) => name);
  await batch('ip', [
    ...links.map((name) => ({ words: `link del ${name}`, unless: absent })),
    ...netns.map((name) => ({ words: `netns del ${name}`, unless: absent })),
  ]);
  const tables = keep.size > 0 ? [] : ours.tables;
  for (const { family, name } of tables) await run(nft, ['delete', 'table', family, name], { allow: 'any' });
  return [...links, ...netns, ...tables.map(({ family, name }) => `${family} ${name}`)];
}

function parseId(id: string): { job: number; index: number } {
  const [, job, index] = /^(\d+)\.(\d+)$/.exec(id) ?? [];
  if (job === undefined || index === undefined) throw new RankshiftError('E_BAD_INPUT', `not a container: ${id}`);
  return { job: Number(job), index: Number(index) };
}

async function netnsNames(): Promise<string[]> {
  try {
    return await readdir(netnsDir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

const rulesetSchema = z.object({
  nftables: z.array(z.object({ table: z.object({ family: z.string(), name: z.string() }).optional() })),
});

/** A node without nft has no tables of CRIU's either. */
async function criuTables(): Promise<{ family: string; name: string }[]> {
  try {
    const { stdout } = await run(nft, ['--json', 'list', 'tables']);
    const { nftables } = rulesetSchema.parse(JSON.parse(stdout));
    return nftables.flatMap(({ table }) => (table?.name.startsWith('CRIU-') === true ? [table] : []));
  } catch (error) {
    if (error instanceof RankshiftError && error.code === 'E_MISSING') return [];
    throw error;
  }
}
