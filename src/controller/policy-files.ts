import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { RankshiftError } from '../errors.ts';
import { type PolicyError, parsePolicyFile, type Rule } from '../migration/policy-file.ts';
import { keepPolicy, keptPolicy, type PolicyText } from '../store/policy.ts';
import type { Logger } from '../telemetry/logger.ts';

const lookMs = 2000;

/**
 * The policy of the site: every `*.conf` of a directory, in the order of their names. It is read again when a file changes,
 * on SIGHUP, and when somebody asks about it. Where a file is wrong, the policy that was last right stays in force; it is
 * kept in Redis, so that it does so over a restart too.
 */
export class PolicyFiles {
  readonly #directory: string;
  readonly #redis: Redis;
  readonly #log: Logger;
  #rules: readonly Rule[] | null = null;
  #seen = '';
  #refreshing: Promise<void> | null = null;
  errors: readonly PolicyError[] = [];
  /** Grows when other rules come into force. */
  version = 0;

  constructor(directory: string, redis: Redis, log: Logger) {
    this.#directory = directory;
    this.#redis = redis;
    this.#log = log;
  }

  /** Reads the files now, and again whenever they change, until `stopping`. */
  async watch(stopping: AbortSignal): Promise<void> {
    await this.refresh();
    const look = () => void this.refresh();
    const reload = () => void this.refresh(true);
    const timer = setInterval(look, lookMs);
    process.on('SIGHUP', reload);
    stopping.addEventListener('abort', () => {
      clearInterval(timer);
      process.removeListener('SIGHUP', reload);
    });
  }

  /** The rules in force. @throws RankshiftError E_CONFIG where no policy was ever right. */
  rules(): readonly Rule[] {
    if (this.#rules !== null) return this.#rules;
    throw new RankshiftError('E_CONFIG', `there is no valid policy: ${this.errors.map(describeError).join('; ')}`, {
      action: 'Correct the named lines; the controller reads the files again by itself. Until then nothing is moved.',
    });
  }

  /** Reads what has changed since the last look; `always`: everything. Looks come one after another. */
  refresh(always = false): Promise<void> {
    const before = this.#refreshing ?? Promise.resolve();
    const turn = before.then(() => this.#look(always));
    this.#refreshing = turn;
    return turn;
  }

  async #look(always: boolean): Promise<void> {
    try {
      const names = await this.#names();
      const seen = await Promise.all(names.map((name) => signature(join(this.#directory, name))));
      const all = names.map((name, index) => `${name} ${seen[index]}`).join('\n');
      if (!always && this.#rules !== null && all === this.#seen) return;
      const texts = await Promise.all(
        names.map(async (name) => {
          const file = join(this.#directory, name);
          return { file, content: await readFile(file, 'utf8') };
        }),
      );
      await this.#take(texts, all);
    } catch (error) {
      this.#tell([{ file: this.#directory, line: 0, message: (error as Error).message }]);
      await this.#takeKept();
    }
  }

  async #names(): Promise<string[]> {
    try {
      const names = await readdir(this.#directory);
      return names.filter((name) => name.endsWith('.conf') && !name.startsWith('.')).sort();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }

  async #take(texts: PolicyText, seen: string): Promise<void> {
    const read = texts.map(({ file, content }) => parsePolicyFile(file, content));
    this.#tell(read.flatMap(({ errors }) => errors));
    if (this.errors.length > 0) {
      await this.#takeKept();
      if (this.#rules !== null) this.#seen = seen;
      return;
    }
    this.#rules = read.flatMap(({ rules }) => rules);
    this.version++;
    this.#seen = seen;
    this.#log.info({ files: texts.length, rules: this.#rules.length }, 'policy read');
    await keepPolicy(this.#redis, texts);
  }

  async #takeKept(): Promise<void> {
    if (this.#rules !== null) return;
    const kept = await keptPolicy(this.#redis).catch(() => null);
    if (kept !== null) this.#rules = kept.flatMap(({ file, content }) => parsePolicyFile(file, content).rules);
  }

  #tell(errors: readonly PolicyError[]): void {
    const lines = errors.map(describeError);
    if (errors.length > 0 && lines.join('\n') !== this.errors.map(describeError).join('\n'))
      this.#log.error({ errors: lines }, 'the policy has errors: the last one that was right stays in force');
    this.errors = errors;
  }
}

async function signature(file: string): Promise<string> {
  const { mtimeMs, ctimeMs, size, ino } = await stat(file);
  return `${mtimeMs} ${ctimeMs} ${size} ${ino}`;
}

export function describeError({ file, line, message }: PolicyError): string {
  return line === 0 ? `${file}: ${message}` : `${file}:${line}: ${message}`;
}
