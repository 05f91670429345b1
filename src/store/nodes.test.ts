import test from 'ava';
import type { ChainableCommander, Redis } from 'ioredis';
import { addHeartbeat, type Heartbeat, readHeartbeats } from './nodes.ts';

/** As much of a Redis as heartbeats use. */
function strings() {
  const all = new Map<string, string>();
  const commands = {
    set(key: string, text: string, how: string) {
      if (how !== 'NX' || !all.has(key)) all.set(key, text);
      return commands;
    },
    sadd: () => commands,
  };
  const redis = { mget: async (keys: string[]) => keys.map((key) => all.get(key) ?? null) };
  return { all, commands: commands as unknown as ChainableCommander, redis: redis as unknown as Redis };
}

const heartbeat: Heartbeat = {
  ...{ name: 'n1', address: '10.0.0.1', port: 7461, instance: 'a', at: 1, kernel: '6.12', softDirty: false },
  ...{ memoryAvailableBytes: 1, memoryTotalBytes: 2, stateDirFreeBytes: 3, cpus: 4, load: 0.5, balance: null },
  ...{ pages: { ok: true, reason: '' }, criu: { ok: true, version: '4', lines: [] }, cpuFlags: ['avx', 'sse'] },
};

test('a heartbeat comes back as it was told, and what its processor has is written once for all nodes', async (t) => {
  const { all, commands, redis } = strings();
  const other = { ...heartbeat, name: 'n2' };
  for (const one of [heartbeat, other]) addHeartbeat(commands, one);
  t.is(all.size, 3);
  t.deepEqual(await readHeartbeats(redis, ['n1', 'n2', 'n3']), [heartbeat, other, null]);
  const [one, two] = await readHeartbeats(redis, ['n1', 'n2']);
  t.is(one?.cpuFlags, two?.cpuFlags);
});

test('a node of which nobody knows what its processor has is not taken for one that has nothing', async (t) => {
  const { all, commands, redis } = strings();
  addHeartbeat(commands, { ...heartbeat, cpuFlags: ['neon'] });
  for (const key of all.keys()) if (key.includes('cpu-flags')) all.delete(key);
  t.deepEqual(await readHeartbeats(redis, ['n1']), [null]);
});
