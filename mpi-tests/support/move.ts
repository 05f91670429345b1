import type { ContainerRecord } from '../../src/migration/container.ts';
import type { MigrationRecord, Strategy } from '../../src/migration/record.ts';
import { containersAnswer, errorAnswer, migrationAnswer, parseAnswer, setAnswer } from './answers.ts';
import type { Cluster } from './cluster.ts';
import { until } from './until.ts';

export interface MoveOptions {
  to?: string;
  clock?: 'continuous' | 'frozen';
  strategy?: Strategy | 'auto';
  /** Further options of `rankshift migrate`. */
  more?: readonly string[];
  /** @defaultValue alice */
  user?: string;
}

function migrateArgv(container: string, { to, clock, strategy, more = [] }: MoveOptions): string[] {
  return [
    'migrate',
    container,
    ...(to === undefined ? [] : ['--to', to]),
    ...(clock === undefined ? [] : ['--clock', clock]),
    ...(strategy === undefined ? [] : ['--strategy', strategy]),
    ...more,
    '--json',
  ];
}

/** `rankshift migrate --wait --json`: the record in its final state, whatever that is, and the exit code. */
export async function tryMove(cluster: Cluster, container: string, options: MoveOptions = {}) {
  const argv = [...migrateArgv(container, options), '--wait'];
  const result = await cluster.rankshift(argv, { user: options.user ?? 'alice' });
  return { exitCode: result.exitCode, record: parseAnswer(migrationAnswer, result).migration };
}

/** A move that has to succeed. */
export async function move(cluster: Cluster, container: string, options: MoveOptions = {}): Promise<MigrationRecord> {
  const { exitCode, record } = await tryMove(cluster, container, options);
  if (exitCode === 0 && record.state === 'completed') return record;
  throw new Error(`migration ${record.id} is ${record.state}, exit ${exitCode}: ${JSON.stringify(record.error)}`);
}

/** Requests a move and does not wait for it. */
export async function request(
  cluster: Cluster,
  container: string,
  options: MoveOptions = {},
): Promise<MigrationRecord> {
  const result = await cluster.rankshift(migrateArgv(container, options), { user: options.user ?? 'alice' });
  return parseAnswer(migrationAnswer, result).migration;
}

/** Several containers as one group, container -> target; waits for the end of all unless `more` says otherwise. */
export async function moveSet(
  cluster: Cluster,
  targets: ReadonlyMap<string, string>,
  more: readonly string[] = ['--wait'],
): Promise<{ exitCode: number; group: string; migrations: MigrationRecord[] }> {
  const named = [...targets].map(([container, to]) => `${container}=${to}`);
  const result = await cluster.rankshift(['migrate', ...named, ...more, '--json'], { user: 'alice' });
  const { group, migrations } = parseAnswer(setAnswer, result);
  return { exitCode: result.exitCode ?? 1, group: group.id, migrations };
}

/** A request that has to be refused at once: exit code and error as --json has them. */
export async function refusal(cluster: Cluster, argv: readonly string[], options: { user?: string } = {}) {
  const result = await cluster.rankshift([...argv, '--json'], options);
  return { exitCode: result.exitCode, error: parseAnswer(errorAnswer, result).error };
}

/** `rankshift show ID --json`. */
export async function showMigration(cluster: Cluster, id: string, user = 'root'): Promise<MigrationRecord> {
  return parseAnswer(migrationAnswer, await cluster.rankshift(['show', id, '--json'], { user })).migration;
}

/** Waits until a migration is in one of the states. */
export async function untilState(
  cluster: Cluster,
  id: string,
  states: readonly MigrationRecord['state'][],
  timeoutMs = 60_000 * cluster.patience,
): Promise<MigrationRecord> {
  return await until(
    `migration ${id} is ${states.join(' or ')}`,
    async () => {
      const record = await showMigration(cluster, id);
      return states.includes(record.state) ? record : undefined;
    },
    { timeoutMs, pollMs: 100 },
  );
}

/** `rankshift ps --json`: the containers that the user may see. */
export async function containers(cluster: Cluster, user = 'alice'): Promise<ContainerRecord[]> {
  return parseAnswer(containersAnswer, await cluster.rankshift(['ps', '--json'], { user })).containers;
}

/** The node where a container is, by the records. */
export async function nodeOf(cluster: Cluster, container: string): Promise<string> {
  const found = (await containers(cluster, 'root')).find(({ id }) => id === container);
  if (found === undefined) throw new Error(`no container ${container}`);
  return found.owner;
}
