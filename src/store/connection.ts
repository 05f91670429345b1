import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import type { Config } from '../config.ts';
import { RankshiftError } from '../errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import { writeTogether } from './write-together.ts';

/** Prefix of every key of ours. */
export const keyPrefix = 'rs';
/** Set of the migrations that have not come to their end. */
export const activeKey = `${keyPrefix}:migrations-active`;

const luaDirectory = join(import.meta.dirname, 'lua');

export interface RedisAddress {
  host: string;
  port: number;
  password: string;
}

/**
 * Where Redis is, with the password from its file.
 * @throws RankshiftError E_CONFIG where the file cannot be read.
 */
export function redisAddress(config: Config): RedisAddress {
  try {
    const password = readFileSync(config.redisPasswordFile, 'utf8').trim();
    return { host: config.redisHost, port: config.redisPort, password };
  } catch (cause) {
    throw new RankshiftError('E_CONFIG', `cannot read RedisPasswordFile ${config.redisPasswordFile}`, { cause });
  }
}

/**
 * A connection that waits for Redis to come back. Commands fail after a bounded number of tries (20 s) with E_REDIS
 * through `store` calls; blocking BullMQ connections are made by BullMQ itself.
 */
export function connectRedis(address: RedisAddress, log: Logger): Redis {
  const redis = new Redis({
    host: address.host,
    port: address.port,
    password: address.password,
    maxRetriesPerRequest: null,
    enableReadyCheck: true,
    // A frozen container may be waiting for the answer: come back quickly.
    retryStrategy: (attempt) => Math.min(50 * attempt, 500),
  });
  redis.on('error', (error) => log.debug({ error: error.message }, 'redis connection'));
  return writeTogether(redis);
}

const scripts = new Map(
  readdirSync(luaDirectory)
    .filter((file) => file.endsWith('.lua'))
    .map((file) => {
      const match = /^(\w+)-(\d+)\.lua$/.exec(file);
      if (match === null) throw new Error(`${file}: the number of keys is missing in the name`);
      const text = readFileSync(join(luaDirectory, file), 'utf8');
      const sha1 = createHash('sha1').update(text).digest('hex');
      return [match[1] ?? '', { keys: Number(match[2]), text, sha1 }] as const;
    }),
);

/** Text and number of keys of one of our Lua scripts (src/store/lua). */
export function scriptNamed(name: string): { keys: number; text: string; sha1: string } {
  const found = scripts.get(name);
  if (found === undefined) throw new Error(`no Lua script ${name}`);
  return found;
}

/** Runs one of our Lua scripts by name; its text is sent only where Redis does not have it. */
export async function script(redis: Redis, name: string, ...args: (string | number)[]): Promise<unknown> {
  const { text, keys, sha1 } = scriptNamed(name);
  const texts = args.map(String);
  try {
    return await redis.evalsha(sha1, keys, ...texts);
  } catch (error) {
    if (!(error as Error).message.startsWith('NOSCRIPT')) throw error;
    return await redis.eval(text, keys, ...texts);
  }
}

/** Rejects with E_REDIS where an answer takes longer than `ms`; the command itself may still be carried out. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new RankshiftError('E_REDIS', `Redis did not answer within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
