import { basename } from 'node:path';
import { Command } from 'commander';
import { type Config, loadConfig } from '../config.ts';
import { importImage } from '../container/images/import.ts';
import { imagesInUse } from '../container/images/in-use.ts';
import { removeImage } from '../container/images/remove.ts';
import { listImages } from '../container/images/store.ts';
import { RankshiftError } from '../errors.ts';
import { formatTime } from './table.ts';

/** `rankshift image import|ls|rm`: the images of which rank containers are made. */
export function imageCommand(): Command {
  const command = new Command('image').description('import, list and remove images of rank containers');
  command
    .command('import')
    .description('import an OCI layout or archive, a docker save archive, or a root directory (root only)')
    .argument('<source>', 'file or directory; what it is, is told by its content')
    .option('--name <name>', 'name of the image (default: the name of the source without its endings)')
    .action(async (source: string, options: { name?: string }) => {
      const config = loadConfig();
      requireRoot('import an image');
      const record = await importImage(config.imageStore, source, options.name ?? nameOf(source), {
        onProgress: ({ layer, layers, present }) =>
          console.error(`layer ${layer} of ${layers}${present ? ': present' : ''}`),
      });
      console.log(`${record.name} ${record.digest} ${size(record.bytes)}`);
    });
  command
    .command('ls')
    .description('list the images of the store')
    .option('--json', 'as JSON')
    .option('--no-header', 'without the heading line')
    .action((options: { json?: boolean; header: boolean }) => list(loadConfig(), options));
  command
    .command('rm')
    .description('remove an image and the layers that no other image uses (root only)')
    .argument('<name>', 'name of the image')
    .action(async (name: string) => {
      const config = loadConfig();
      requireRoot('remove an image');
      const removed = await removeImage(config.imageStore, name, { inUse: await imagesInUse(config) });
      console.log(`${name}: removed, ${removed.length} layers deleted`);
    });
  return command;
}

async function list(config: Config, options: { json?: boolean; header: boolean }): Promise<void> {
  const images = await listImages(config.imageStore);
  if (options.json === true) {
    console.log(JSON.stringify({ version: 1, images }, null, 2));
    return;
  }
  const heading = ['NAME', 'DIGEST', 'LAYERS', 'SIZE', 'IMPORTED'];
  const rows = images.map(({ name, digest, layers, bytes, importedAt }) => [
    name,
    digest.slice('sha256:'.length, 'sha256:'.length + 12),
    String(layers.length),
    size(bytes),
    formatTime(Date.parse(importedAt)),
  ]);
  const table = options.header ? [heading, ...rows] : rows;
  const widths = heading.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  for (const row of table)
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join(' ')
        .trimEnd(),
    );
}

/** The store belongs to root, because what is in it runs on every node. */
function requireRoot(what: string): void {
  if (process.geteuid?.() === 0) return;
  throw new RankshiftError('E_NOT_PERMITTED', `only root may ${what}`, { action: 'Run it as root.' });
}

function nameOf(source: string): string {
  return basename(source).replace(/(\.(tar|tgz|oci|gz|zst))+$/, '');
}

function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

if (import.meta.main) {
  try {
    await imageCommand().parseAsync();
  } catch (cause) {
    const error = RankshiftError.from(cause);
    console.error(`rankshift image: ${error.code}: ${error.message}\n${error.action}`);
    process.exitCode = error.exitCode;
  }
}
