import { Redis } from 'ioredis';
import { redisFaults } from '../../controller/check-redis.ts';
import { RankshiftError } from '../../errors.ts';
import { type RedisAddress, redisAddress } from '../../store/connection.ts';
import { type Check, type DoctorContext, type Finding, missing, ok, warning } from '../finding.ts';
import { isAtLeast } from './kernel.ts';

const deadlineMs = 3000;
/** munge refuses credentials that are older than five minutes. */
const mungeTolerableMs = 240_000;
const comfortableMs = 1000;

export const redis: Check = {
  name: 'redis',
  roles: ['controller', 'agent'],
  examine: async (context) => {
    if (!context.root) return [warning('redis', 'not tested without root', 'sudo rankshift doctor')];
    let address: RedisAddress;
    try {
      address = redisAddress(context.config);
    } catch (cause) {
      const remedy = 'rankshift init-cluster makes it on the controller; copy it from there.';
      return [missing('redis', RankshiftError.from(cause).message, remedy)];
    }
    let refused: Error | undefined;
    const client = openOnce(address, address.password, (error) => {
      refused = error;
    });
    try {
      await client.connect();
      return [...(await settings(client, context)), await clockOffset(client), await locked(address)];
    } catch (cause) {
      // ioredis rejects with "Connection is closed"; the reason is in the event.
      return [unreachable(address, refused ?? (cause as Error))];
    } finally {
      client.disconnect();
    }
  },
};

/** A client that tries once and gives up in time; the doctor waits for nobody. */
function openOnce(
  { host, port }: RedisAddress,
  password: string,
  onError: (error: Error) => void = () => undefined,
): Redis {
  const client = new Redis({
    host,
    port,
    ...(password === '' ? {} : { password }),
    lazyConnect: true,
    connectTimeout: deadlineMs,
    commandTimeout: deadlineMs,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    retryStrategy: () => null,
  });
  // Without a listener ioredis prints it.
  client.on('error', onError);
  return client;
}

function unreachable({ host, port }: RedisAddress, error: Error): Finding {
  const message = `${host}:${port}: ${error.message}`;
  if (/WRONGPASS|NOAUTH/.test(message)) {
    return missing('redis', message, 'Copy redis.password from the controller; it is requirepass in redis.conf.');
  }
  return missing('redis', message, `On ${host}: systemctl enable --now redis-server; "bind" in redis.conf; firewall`);
}

async function settings(client: Redis, { config }: DoctorContext): Promise<Finding[]> {
  const version = /^redis_version:(\S+)/m.exec(await client.info('server'))?.[1] ?? '';
  const reached = isAtLeast(version, '7.2')
    ? ok('redis', `version ${version}`)
    : warning(
        'redis',
        `version ${version} has no WAITAOF: a commit counts on appendfsync alone`,
        'Use Redis 7.2 or later.',
      );
  let faults: string[];
  try {
    faults = await redisFaults(client);
  } catch (cause) {
    const detail = `CONFIG GET is refused (${(cause as Error).message}): settings cannot be checked`;
    const remedy = 'Check appendonly yes, appendfsync always, maxmemory-policy noeviction by hand.';
    return [reached, warning('redis settings', detail, remedy)];
  }
  if (faults.length === 0) return [reached, ok('redis settings', 'append-only file always synced, no eviction')];
  const remedy = `redis.conf of ${config.redisHost}: appendonly yes, appendfsync always, maxmemory-policy noeviction; restart it`;
  return [reached, ...faults.map((fault) => missing('redis settings', fault, remedy))];
}

/** Redis tells its time: the offset between this clock and the management node's, good to half the round trip. */
async function clockOffset(client: Redis): Promise<Finding> {
  const before = Date.now();
  const [seconds, microseconds] = await client.time();
  const after = Date.now();
  const theirs = Number(seconds) * 1000 + Number(microseconds) / 1000;
  const offsetMs = Math.abs(theirs - (before + after) / 2);
  const detail = `${offsetMs.toFixed(0)} ms off the management node (error at most ${(after - before) / 2} ms)`;
  const remedy = 'Synchronise the clocks: chrony on both nodes.';
  if (offsetMs > mungeTolerableMs) return missing('clock offset', detail, remedy);
  return offsetMs > comfortableMs ? warning('clock offset', detail, remedy) : ok('clock offset', detail);
}

/** Redis must refuse who has no password. */
async function locked(address: RedisAddress): Promise<Finding> {
  const stranger = openOnce(address, '');
  try {
    await stranger.connect();
    await stranger.ping();
    return missing('redis password', 'Redis answers without a password', 'requirepass in redis.conf, then restart it');
  } catch {
    return ok('redis password', 'needed');
  } finally {
    stranger.disconnect();
  }
}
