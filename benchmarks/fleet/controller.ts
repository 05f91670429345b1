import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadCommandKey } from '../../src/channel/envelope.ts';
import { loadConfig } from '../../src/config.ts';
import { CommandSender } from '../../src/controller/command-sender.ts';
import type { ControllerContext } from '../../src/controller/context.ts';
import { driveGroups } from '../../src/controller/drive-groups.ts';
import { Driving, pickUpOrphans } from '../../src/controller/drive-with-lease.ts';
import { startGroup } from '../../src/controller/evacuate.ts';
import { ControllerMetrics } from '../../src/controller/metrics.ts';
import { PolicyFiles } from '../../src/controller/policy-files.ts';
import { submitMigration } from '../../src/controller/requests.ts';
import { connectRedis } from '../../src/store/connection.ts';
import { migrationQueue, openQueue, openWorker } from '../../src/store/queues.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { type FromController, shapeSchema, type ToController } from './shape.ts';

/** The controller as it is, but that requests come from the simulation, and not over HTTPS. */
const shape = shapeSchema.parse(JSON.parse(process.argv[2] ?? ''));
const config = loadConfig(join(shape.directory, 'rankshift.conf'));
const log = createLogger('controller', 'error');
const address = { host: '127.0.0.1', port: shape.redisPort, password: '' };
const redis = connectRedis(address, log);
const policy = new PolicyFiles(config.policyDir, redis, log);
const context: ControllerContext = {
  ...{ config, redis, log, policy, instance: randomUUID(), stopping: new AbortController().signal },
  commands: new CommandSender(redis, address, loadCommandKey(join(config.keyDir, 'command.key')), log),
  migrations: openQueue(migrationQueue, address, log),
  metrics: new ControllerMetrics(redis, () => 0),
};
await policy.watch(context.stopping);
const driving = new Driving(context);
context.driveNow = (record) => driving.takeNow(record);
openWorker(migrationQueue, address, log, config.movesAtOnce, (data) => driving.take((data as { id: string }).id));
pickUpOrphans(context, driving);
driveGroups(context);

const tell = (message: FromController) => process.send?.(message);
const root = { uid: 0, name: 'root', admin: true };
/** Requests that are being taken at a time, where they come as fast as they can. */
const atOnce = 64;

process.on('message', (message: ToController) => {
  if (message.type === 'figures') {
    const { user, system } = process.cpuUsage();
    const { rss, heapUsed } = process.memoryUsage();
    tell({ type: 'figures', cpuSeconds: (user + system) / 1e6, rssMiB: rss / 2 ** 20, heapMiB: heapUsed / 2 ** 20 });
  } else if (message.type === 'evacuate') void evacuate(message.nodes);
  else void submit(message);
});
process.on('disconnect', () => process.exit(0));

async function evacuate(nodes: string[]): Promise<void> {
  const wish = { kind: 'evacuation', nodes, targets: [], reason: 'benchmark', origin: 'command' } as const;
  await startGroup(context, { ...wish, targets: [] }, root);
  tell({ type: 'submitted', at: [] });
}

async function submit({ containers, rate }: ToController & { type: 'submit' }): Promise<void> {
  const at: [string, number][] = [];
  const started = Date.now();
  const one = async ({ id, to }: { id: string; to: string }) => {
    at.push([id, Date.now()]);
    await submitMigration(context, root, { container: id, to });
  };
  if (rate === null) {
    const left = [...containers];
    const take = async () => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) await one(next);
    };
    await Promise.all(Array.from({ length: atOnce }, take));
  } else {
    const all: Promise<void>[] = [];
    for (const [index, container] of containers.entries()) {
      await sleep(Math.max(0, started + (index * 1000) / rate - Date.now()));
      all.push(one(container));
    }
    await Promise.all(all);
  }
  tell({ type: 'submitted', at });
}
tell({ type: 'ready' });
