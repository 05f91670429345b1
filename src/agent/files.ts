import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { type Config, containerDir, migrationDir } from '../config.ts';
import { RankshiftError } from '../errors.ts';
import { containerFactsSchema } from '../migration/commands.ts';
import {
  containerIdSchema,
  migrationIdSchema,
  nodeNameSchema,
  type SwitchResult,
  switchResultSchema,
} from '../migration/record.ts';

/** What this node remembers of a container that it owns. */
export const localContainerSchema = z.object({ facts: containerFactsSchema, epoch: z.number().int() });
export type LocalContainer = z.infer<typeof localContainerSchema>;

/** What this node remembers of its part in a migration: written before the first act, removed after the last. */
export const roleSchema = z.object({
  role: z.enum(['source', 'target']),
  migration: migrationIdSchema,
  container: containerIdSchema,
  epoch: z.number().int(),
  source: nodeNameSchema,
  target: nodeNameSchema,
  facts: containerFactsSchema,
  /** Memory travels as pages by address (docs/pages.md), not in CRIU's images. */
  lazy: z.boolean(),
  /** Pages may come after the commit: until then the frozen container on the source is all that has them. */
  postCopy: z.boolean().default(false),
  /** Clock offsets with which the target's copy was or will be restored, nanoseconds as text. */
  clock: z.object({ monotonicNs: z.string(), boottimeNs: z.string() }).nullable(),
});
export type Role = z.infer<typeof roleSchema>;

const localFile = (config: Config, container: string) => join(containerDir(config, container), 'container.json');
const roleFile = (config: Config, migration: string) => join(migrationDir(config, migration), 'role.json');

export async function writeLocalContainer(config: Config, local: LocalContainer): Promise<void> {
  await mkdir(containerDir(config, local.facts.id), { recursive: true, mode: 0o700 });
  await writeJson(localFile(config, local.facts.id), local);
}

export async function readLocalContainer(config: Config, container: string): Promise<LocalContainer | null> {
  return readJson(localFile(config, container), localContainerSchema);
}

/** Containers that this node owns by its own files. */
export async function listLocalContainers(config: Config): Promise<LocalContainer[]> {
  const names = await namesIn(join(config.stateDir, 'containers'));
  const found = await Promise.all(names.map((name) => readLocalContainer(config, name)));
  return found.filter((local) => local !== null);
}

export async function writeRole(config: Config, role: Role): Promise<void> {
  await mkdir(migrationDir(config, role.migration), { recursive: true, mode: 0o700 });
  await writeJson(roleFile(config, role.migration), role);
}

export async function readRole(config: Config, migration: string): Promise<Role | null> {
  return readJson(roleFile(config, migration), roleSchema);
}

const resultFile = (config: Config, migration: string) => join(migrationDir(config, migration), 'result.json');

/** What a source measured of a switch that committed, for a controller that was not there to be told. */
export async function writeSwitchResult(config: Config, migration: string, result: SwitchResult): Promise<void> {
  await writeJson(resultFile(config, migration), result);
}

export async function readSwitchResult(config: Config, migration: string): Promise<SwitchResult | null> {
  return readJson(resultFile(config, migration), switchResultSchema);
}

/** Migrations in which this node has a part that is not settled. */
export async function listRoles(config: Config): Promise<Role[]> {
  const names = await namesIn(join(config.stateDir, 'migrations'));
  const found = await Promise.all(names.map((name) => readRole(config, name)));
  return found.filter((role) => role !== null);
}

/** None where there is no such directory. */
async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

async function readJson<T>(file: string, schema: z.ZodType<T>): Promise<T | null> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  const parsed = schema.safeParse(JSON.parse(text));
  if (parsed.success) return parsed.data;
  // What cannot be read is not taken for nothing: what it tells of would be removed.
  throw new RankshiftError('E_INTERNAL', `${file} cannot be read: ${parsed.error.issues[0]?.message}`, {
    action: 'Is it of another release? Start the agent of that release, or end the container and remove the file.',
  });
}

async function writeJson(file: string, value: unknown): Promise<void> {
  await writeFile(`${file}.new`, JSON.stringify(value), { mode: 0o600, flush: true });
  await rename(`${file}.new`, file);
}

export async function removeDirectory(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true, maxRetries: 5 });
}
