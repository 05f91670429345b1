import { randomUUID } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { mkdir, readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { loadCredentials } from '../channel/credentials.ts';
import { loadCommandPublicKey } from '../channel/envelope.ts';
import { serveChannel } from '../channel/serve-channel.ts';
import { type Config, loadConfig } from '../config.ts';
import type { Report } from '../migration/reports.ts';
import { raisePriority } from '../process/priority.ts';
import { hookSpoolDir, watchSpool } from '../slurm/spool.ts';
import { connectRedis, redisAddress } from '../store/connection.ts';
import { closeWithin, openQueue, reportQueue } from '../store/queues.ts';
import { createLogger } from '../telemetry/logger.ts';
import { serveMetrics } from '../telemetry/serve-metrics.ts';
import { bulkTurns } from './bulk-turn.ts';
import { ChannelServer } from './channels.ts';
import { startCommandWorker } from './command-worker.ts';
import type { AgentContext } from './context.ts';
import { startHeartbeat } from './heartbeat.ts';
import { AgentMetrics } from './metrics.ts';
import { recover } from './recover.ts';
import { OpenShells } from './shells.ts';
import { watchContainers } from './watch-containers.ts';

const closeMs = 3000;
const lookMs = 500;
/** A switch under way is brought to its end first, since nobody would thaw its container until the next start. */
const lastSwitchMs = 45_000;

/** The node daemon. Ends on SIGTERM, after what it has under way; containers do not end with it. */
export async function runAgent(): Promise<void> {
  const config = loadConfig();
  const node = config.nodeName === '' ? (hostname().split('.')[0] ?? 'localhost') : config.nodeName;
  const log = createLogger(`agent ${node}`, config.logLevel);
  const address = redisAddress(config);
  raisePriority((error) => log.warn({ error: error.message }, 'the agent runs at normal priority'));
  const stopping = new AbortController();
  await makeDirectories(config);
  const context: AgentContext = {
    config,
    node,
    address: config.nodeAddress === '' ? (await lookup(node, 4)).address : config.nodeAddress,
    instance: randomUUID(),
    redis: connectRedis(address, log),
    log,
    credentials: loadCredentials(config),
    commandKey: loadCommandPublicKey(join(config.keyDir, 'command.pub')),
    launchKey: (await readFile(join(config.keyDir, 'launch.key'), 'utf8')).trim(),
    reports: openQueue(reportQueue, address, log),
    metrics: new AgentMetrics(config),
    operations: new Map(),
    copies: bulkTurns(),
    links: new Map(),
    shells: new OpenShells(),
    stopping: stopping.signal,
  };
  const channels = new ChannelServer(context);
  const server = await serveChannel({
    port: config.agentPort,
    credentials: context.credentials,
    onChannel: (channel) => void channels.serve(channel),
    log,
  });
  await recover(context);
  const worker = startCommandWorker(context, address);
  watchContainers(context);
  void watchSpool(
    hookSpoolDir(config),
    async ({ event, job }) => {
      await context.reports.add('report', { type: 'hook', node, event, job } satisfies Report);
    },
    { log, signal: stopping.signal },
  );
  await startHeartbeat(context);
  const metrics = await serveMetrics({
    host: config.metricsAddress,
    port: config.agentMetricsPort,
    registry: context.metrics.registry,
    log,
  });
  log.info({ address: context.address, port: config.agentPort, metrics: metrics.port }, 'agent ready');
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
  log.info('agent stops');
  stopping.abort();
  await Promise.race([
    closeWithin(lastSwitchMs, worker, { close: () => untilIdle(context) }),
    untilIdleWithoutRedis(context),
  ]);
  await closeWithin(closeMs, context.reports, server, metrics);
  context.redis.disconnect();
  process.exit(0);
}

async function untilIdle({ operations }: AgentContext): Promise<void> {
  while (operations.size > 0) await Promise.allSettled(operations.values());
}

/** While Redis is away a worker cannot be closed, and there is nothing that it could still bring to an end. */
async function untilIdleWithoutRedis(context: AgentContext): Promise<void> {
  do {
    await new Promise((resolve) => setTimeout(resolve, lookMs));
    await untilIdle(context);
  } while (context.redis.status === 'ready');
}

async function makeDirectories({ stateDir, runDir }: Config): Promise<void> {
  const directories = [
    join(stateDir, 'containers'),
    join(stateDir, 'migrations'),
    join(stateDir, 'spool', 'hooks'),
    runDir,
  ];
  for (const directory of directories) await mkdir(directory, { recursive: true, mode: 0o700 });
}
