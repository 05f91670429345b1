import { readdir } from 'node:fs/promises';
import type { Config } from '../config.ts';
import { netnsDir } from '../network/endpoint.ts';
import { parseNetnsName } from '../network/identity.ts';
import { listLocalContainers, listRoles } from './files.ts';
import { listOrphans } from './orphans.ts';

export type Leftovers = Record<'container' | 'migration' | 'namespace', number>;

/** A start or a removal under way looks like a leftover for a moment; so only what is there at two looks counts. */
const apartMs = 30_000;

/** Counts what no container and no migration of this node claims, at most twice a minute. Removes nothing. */
export class LeftoverCount {
  readonly #config: Config;
  #before = new Set<string>();
  #lookedAt = Number.NEGATIVE_INFINITY;
  #counted: Leftovers = { container: 0, migration: 0, namespace: 0 };

  constructor(config: Config) {
    this.#config = config;
  }

  async count(now: number = performance.now()): Promise<Leftovers> {
    if (now - this.#lookedAt < apartMs) return this.#counted;
    this.#lookedAt = now;
    const found = await this.#look();
    const lasting = found.filter((name) => this.#before.has(name));
    this.#before = new Set(found);
    const of = (kind: keyof Leftovers) => lasting.filter((name) => name.startsWith(`${kind} `)).length;
    this.#counted = { container: of('container'), migration: of('migration'), namespace: of('namespace') };
    return this.#counted;
  }

  async #look(): Promise<string[]> {
    const [locals, roles] = await Promise.all([listLocalContainers(this.#config), listRoles(this.#config)]);
    const keep = new Set([...locals.map(({ facts }) => facts.id), ...roles.map(({ container }) => container)]);
    const orphans = await listOrphans(this.#config, keep, new Set(roles.map(({ migration }) => migration)));
    const names = await readdir(netnsDir).catch(() => []);
    const namespaces = names.filter((name) => {
      const parsed = parseNetnsName(name);
      return parsed !== null && !keep.has(`${parsed.job}.${parsed.index}`);
    });
    return [
      ...orphans.containers.map((name) => `container ${name}`),
      ...orphans.migrations.map((name) => `migration ${name}`),
      ...namespaces.map((name) => `namespace ${name}`),
    ];
  }
}
