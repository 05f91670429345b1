import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RankshiftError } from '../../errors.ts';
import { run } from '../../process/run.ts';

/**
 * Downloads packages of a suite with apt-get, in directories of its own, from the site and with the keys of the node
 * image. Of one that only names another (`standsFor`, a kernel without its version) that other one is taken.
 * @returns the files.
 */
export async function downloadPackages(
  nodeImage: string,
  suite: string,
  scratch: string,
  packages: readonly string[],
  { standsFor }: { standsFor?: string } = {},
): Promise<string[]> {
  const sources = readFileSync(join(nodeImage, 'etc/apt/sources.list'), 'utf8');
  const site = /^deb (?:\[.*?\] )?(\S+)/m.exec(sources)?.[1];
  if (site === undefined) throw new RankshiftError('E_COMMAND', 'the node image names no package source');
  for (const dir of ['lists/partial', 'archives/partial', 'state']) mkdirSync(join(scratch, dir), { recursive: true });
  const sourceList = join(scratch, 'sources.list');
  writeFileSync(sourceList, `deb ${site} ${suite} main\n`);
  writeFileSync(join(scratch, 'state', 'status'), '');
  const options = [
    ['Dir::Etc::SourceList', sourceList],
    ['Dir::Etc::SourceParts', '-'],
    ['Dir::Etc::PreferencesParts', '-'],
    ['Dir::Etc::TrustedParts', join(nodeImage, 'etc/apt/trusted.gpg.d')],
    ['Dir::State', join(scratch, 'state')],
    ['Dir::State::Lists', join(scratch, 'lists')],
    ['Dir::State::status', join(scratch, 'state', 'status')],
    ['Dir::Cache', scratch],
    ['APT::Sandbox::User', 'root'],
    ['Acquire::Languages', 'none'],
  ].flatMap(([key, value]) => ['-o', `${key}=${value}`]);
  await run('apt-get', [...options, 'update'], { timeoutMs: 300_000, cwd: scratch });
  const names = await Promise.all(
    packages.map(async (name) => {
      if (name !== standsFor) return name;
      const { stdout } = await run('apt-cache', [...options, 'depends', name], { timeoutMs: 60_000 });
      return /^\s*Depends: (\S+)/m.exec(stdout)?.[1] ?? name;
    }),
  );
  await run('apt-get', [...options, 'download', ...names], { timeoutMs: 300_000, cwd: scratch });
  return readdirSync(scratch)
    .filter((file) => file.endsWith('.deb'))
    .map((file) => join(scratch, file));
}
