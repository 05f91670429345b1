import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { serveApi } from '../api/server.ts';
import { loadCredentials } from '../channel/credentials.ts';
import { loadCommandKey } from '../channel/envelope.ts';
import { loadConfig } from '../config.ts';
import { mungeDecode } from '../slurm/munge.ts';
import { connectRedis, redisAddress } from '../store/connection.ts';
import { nameRecords } from '../store/identity.ts';
import { closeWithin, migrationQueue, openQueue, openWorker, reportQueue } from '../store/queues.ts';
import { createLogger } from '../telemetry/logger.ts';
import { serveMetrics } from '../telemetry/serve-metrics.ts';
import { watchBalance } from './balance.ts';
import { checkRedis } from './check-redis.ts';
import { CommandSender } from './command-sender.ts';
import type { ControllerContext } from './context.ts';
import { driveGroups } from './drive-groups.ts';
import { Driving, pickUpOrphans } from './drive-with-lease.ts';
import { ControllerMetrics } from './metrics.ts';
import { PolicyFiles } from './policy-files.ts';
import { apiRoutes } from './routes.ts';
import { shellConversation } from './shell.ts';
import { watchAllocations } from './watch-allocations.ts';
import { watchNodes } from './watch-nodes.ts';
import { handleReport, watchRuns } from './watch-runs.ts';

const closeMs = 3000;

/** The service on the management node. Ends on SIGTERM; what it drives is picked up by its successor. */
export async function runController(): Promise<void> {
  const config = loadConfig();
  const log = createLogger('controller', config.logLevel);
  const address = redisAddress(config);
  const stopping = new AbortController();
  const redis = connectRedis(address, log);
  const credentials = loadCredentials(config);
  await checkRedis(redis, log);
  await nameRecords(redis);
  const commands = new CommandSender(redis, address, loadCommandKey(join(config.keyDir, 'command.key')), log);
  const policy = new PolicyFiles(config.policyDir, redis, log);
  const context: ControllerContext = {
    config,
    redis,
    log,
    commands,
    migrations: openQueue(migrationQueue, address, log),
    policy,
    metrics: new ControllerMetrics(redis, () => policy.errors.length),
    instance: `${hostname()}-${randomUUID()}`,
    stopping: stopping.signal,
  };
  await context.policy.watch(stopping.signal);
  const driving = new Driving(context);
  context.driveNow = (record) => driving.takeNow(record);
  const worker = openWorker(migrationQueue, address, log, config.movesAtOnce, (data) =>
    driving.take((data as { id: string }).id),
  );
  const reports = openWorker(reportQueue, address, log, 16, (data) => handleReport(context, data));
  pickUpOrphans(context, driving);
  driveGroups(context);
  context.lookAtNodes = watchNodes(context);
  watchRuns(context);
  watchAllocations(context);
  watchBalance(context);
  const server = await serveApi({
    port: config.controllerPort,
    credentials,
    routes: apiRoutes(context, credentials),
    conversations: [shellConversation(context, credentials)],
    decode: mungeDecode,
    log,
  });
  const metrics = await serveMetrics({
    host: config.metricsAddress,
    port: config.controllerMetricsPort,
    registry: context.metrics.registry,
    log,
  });
  log.info({ port: config.controllerPort, metrics: metrics.port }, 'controller ready');
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
  log.info('controller stops');
  stopping.abort();
  await closeWithin(closeMs, server, metrics, worker, reports, context.migrations, commands);
  redis.disconnect();
  process.exit(0);
}
