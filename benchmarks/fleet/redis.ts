import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { freePort } from '../../src/process/testing/free-port.ts';
import { ensureNodeImage } from '../../src/testbed/images/node-image.ts';

export interface RedisServer {
  process: ChildProcess;
  port: number;
  redis: Redis;
}

/**
 * Redis as the management node of a testbed runs it, from the same image, on this machine's loopback. Programs of the image
 * are started by its own dynamic linker: its libraries may be newer than those of this machine.
 * @throws Error where it does not answer within 10 s.
 */
export async function startRedis(directory: string, say: (line: string) => void): Promise<RedisServer> {
  const image = await ensureNodeImage(say);
  const libraries = ['lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu'].map((path) => join(image, path)).join(':');
  const port = await freePort();
  const settings = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--maxclients', '30000'];
  // As `rankshift controller` demands it.
  const safe = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', '', '--maxmemory-policy', 'noeviction'];
  const argv = ['--library-path', libraries, join(image, 'usr/bin/redis-server'), ...settings, ...safe];
  const server = spawn(join(image, 'lib64/ld-linux-x86-64.so.2'), argv, { stdio: 'ignore' });
  const redis = new Redis({ port, maxRetriesPerRequest: null });
  redis.on('error', () => undefined);
  const answered = await Promise.race([redis.ping(), sleep(10_000)]);
  if (answered !== 'PONG' || server.exitCode !== null) {
    redis.disconnect();
    server.kill('SIGKILL');
    throw new Error('Redis of the node image does not start');
  }
  return { process: server, port, redis };
}

export interface RedisFigures {
  commands: number;
  cpuSeconds: number;
  usedMiB: number;
  /** By name of command. */
  calls: Map<string, number>;
}

/** What Redis has done so far. Commands that scripts run count as well. */
export async function redisFigures(redis: Redis): Promise<RedisFigures> {
  const text = await redis.info('everything');
  const calls = text.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm);
  const number = (name: string) => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(text)?.[1]);
  return {
    commands: number('total_commands_processed'),
    cpuSeconds: number('used_cpu_sys') + number('used_cpu_user'),
    usedMiB: number('used_memory') / 2 ** 20,
    calls: new Map(Array.from(calls, ([, name = '', count]) => [name, Number(count)])),
  };
}
