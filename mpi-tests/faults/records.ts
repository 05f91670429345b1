import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { type MigrationRecord, migrationRecordSchema } from '../../src/migration/record.ts';
import { heartbeatSchema } from '../../src/store/nodes.ts';
import type { Cluster } from '../support/cluster.ts';

/** Of a heartbeat as it is in Redis. */
const toldSchema = heartbeatSchema.pick({ criu: true });

/** Reads our records from Redis itself: the controller may be dead just now. */
export class Records {
  readonly #cluster: Cluster;
  readonly #password: string;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#password = readFileSync(cluster.testbed.path('ctl', '/etc/rankshift/keys/redis.password'), 'utf8').trim();
  }

  /** One command of redis-cli(1), its answer as JSON. @throws where Redis does not answer. */
  async ask(...words: string[]): Promise<unknown> {
    const argv = ['redis-cli', '--no-auth-warning', '-a', this.#password, '--json', '-t', '2', ...words];
    return JSON.parse(await this.#cluster.output('ctl', argv, { timeoutMs: 5000 }));
  }

  async migration(id: string): Promise<MigrationRecord> {
    const text = z.string().parse(await this.ask('GET', `rs:migration:${id}`));
    return migrationRecordSchema.parse(JSON.parse(text));
  }

  async owner(container: string): Promise<string> {
    return z.string().parse(await this.ask('HGET', `rs:container:${container}`, 'owner'));
  }

  /** Whether every agent lives and has passed its self-test. */
  async allReady(): Promise<boolean> {
    const keys = this.#cluster.nodes.map((node) => `rs:node:${node}`);
    const texts = z.array(z.string().nullable()).parse(await this.ask('MGET', ...keys));
    return texts.every((text) => text !== null && toldSchema.parse(JSON.parse(text)).criu.ok);
  }

  /** Migrations that somebody still has to drive. */
  async active(): Promise<string[]> {
    return z.array(z.string()).parse(await this.ask('SMEMBERS', 'rs:migrations-active'));
  }

  /** Id of the migration that holds the lock of a container, or empty. */
  async lock(container: string): Promise<string> {
    return z.string().parse(await this.ask('HGET', `rs:container:${container}`, 'migration'));
  }
}
