import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import type { Redis } from 'ioredis';
import { AgentMetrics } from '../agent/metrics.ts';
import { parseConfig } from '../config.ts';
import { ControllerMetrics } from '../controller/metrics.ts';
import { newMigration, reduce } from '../migration/machine.ts';
import type { Plan, SwitchResult } from '../migration/record.ts';
import { createLogger } from './logger.ts';
import { serveMetrics } from './serve-metrics.ts';

const monitoring = join(import.meta.dirname, '../../monitoring');
const text = (file: string) => readFileSync(join(monitoring, file), 'utf8');
/** Redis with nothing in it, as far as gauges ask. */
const noRedis = { smembers: async () => [], pipeline: () => ({ exec: async () => [] }) } as unknown as Redis;

function sources() {
  const config = parseConfig('StateDir=/nonexistent\nRunDir=/nonexistent', 'test');
  return { controller: new ControllerMetrics(noRedis, () => 2), agent: new AgentMetrics(config) };
}

const plan = { strategy: 'pre-copy', target: 'n2', predicted: { downtimeMs: 200, totalMs: 900 } } as Plan;
const result = {
  ...{ outcome: 'committed', downtimeMs: 300, stallMs: 310, bytes: { pages: 2 ** 30, upper: 5, metadata: 7, wire: 9 } },
  clock: { errorBoundNs: '20000', correctedMs: 250 },
} as SwitchResult;

function completed() {
  const requestedBy = { uid: 0, name: 'root' };
  const queued = newMigration({ id: '1', container: '4.1', job: 4, requestedBy, request: { container: '4.1' } }, 1000);
  const begun = reduce(queued, { type: 'preflight-started', at: 3000, source: 'n1', epoch: 1 });
  const switching = [
    { type: 'planned', at: 3100, plan },
    { type: 'preparing-started', at: 3100 },
    { type: 'switching-started', at: 3200 },
    { type: 'switched', at: 3500, result },
    { type: 'finished', at: 4000 },
  ] as const;
  return { begun, ended: switching.reduce(reduce, begun) };
}

/** What the dashboard and the rules ask for, without what every program has. */
function namesIn(content: string): Set<string> {
  return new Set([...content.matchAll(/\brankshift_[a-z_]+/g)].map(([name]) => name));
}

test('every metric that dashboard and rules name is there', async (t) => {
  const { controller, agent } = sources();
  const { begun, ended } = completed();
  controller.observe(begun);
  controller.observe(ended);
  agent.carriedOut('switch', 12, 'ok', result);
  agent.works('criu', true);
  const all = `${await controller.registry.metrics()}${await agent.registry.metrics()}`;
  const present = new Set([...all.matchAll(/^(rankshift_[a-z_]+)[{ ]/gm)].map(([, name]) => name));
  for (const file of ['grafana-dashboard.json', 'alerts.yml']) {
    const wanted = namesIn(text(file));
    t.true(wanted.size > 5, file);
    for (const name of wanted) t.true(present.has(name), `${file}: ${name}`);
  }
  for (const { targets, title } of JSON.parse(text('grafana-dashboard.json')).panels) t.true(targets.length > 0, title);
});

test('a completed move is counted once, with its times in seconds and its bytes', async (t) => {
  const { controller } = sources();
  const { begun, ended } = completed();
  controller.observe(begun);
  controller.observe(ended);
  const all = await controller.registry.metrics();
  for (const line of [
    'rankshift_migrations_total{state="completed",reason="none"} 1',
    'rankshift_downtime_seconds_sum{strategy="pre-copy"} 0.3',
    'rankshift_move_seconds_sum{strategy="pre-copy"} 1',
    'rankshift_queue_seconds_sum{strategy="any"} 2',
    'rankshift_move_bytes_bucket{le="1073741824",strategy="pre-copy"} 0',
    'rankshift_move_bytes_bucket{le="4294967296",strategy="pre-copy"} 1',
    'rankshift_downtime_prediction_ratio_sum{strategy="pre-copy"} 1.5',
    'rankshift_clock_error_bound_seconds_bucket{le="0.00005",strategy="pre-copy"} 1',
    'rankshift_policy_errors 2',
  ]) {
    t.true(all.includes(`${line}\n`), line);
  }
});

test('commands that are none are one label, whatever they are called', async (t) => {
  const { agent } = sources();
  agent.carriedOut('x'.repeat(50), 1, 'E_NOT_PERMITTED', null);
  t.regex(await agent.registry.metrics(), /command_seconds_count\{command="unknown",outcome="E_NOT_PERMITTED"\} 1/);
});

test('metrics are served to GET /metrics and to nothing else', async (t) => {
  const { controller } = sources();
  const log = createLogger('test', 'silent');
  const server = await serveMetrics({ host: '127.0.0.1', port: freePort, registry: controller.registry, log });
  const ask = (path: string, method = 'GET') => fetch(`http://127.0.0.1:${server.port}${path}`, { method });
  try {
    const answer = await ask('/metrics');
    t.is(answer.status, 200);
    t.regex(answer.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
    t.regex(await answer.text(), /^process_resident_memory_bytes \d+/m);
    t.is((await ask('/')).status, 404);
    t.is((await ask('/metrics', 'POST')).status, 405);
    const second = await serveMetrics({
      host: '127.0.0.1',
      port: server.port,
      registry: sources().agent.registry,
      log,
    });
    t.is(second.port, 0, 'a port that is taken is no reason to end');
  } finally {
    await server.close();
  }
});
/** Of those that nobody is given. */
const freePort = 29_000 + (process.pid % 1000);

const promtool = ['/usr/bin/promtool', '/usr/local/bin/promtool'].find(existsSync);

test('Prometheus takes rules, configuration and metrics as they are', async (t) => {
  if (promtool === undefined) {
    t.log('promtool (package prometheus) is not installed: not checked');
    t.pass();
    return;
  }
  const run = promisify(execFile);
  const directory = mkdtempSync(join(tmpdir(), 'rankshift-metrics-'));
  try {
    await run(promtool, ['check', 'rules', join(monitoring, 'alerts.yml')]);
    await run(promtool, ['check', 'config', join(monitoring, 'prometheus.yml')]);
    const { controller, agent } = sources();
    const { begun, ended } = completed();
    controller.observe(begun);
    controller.observe(ended);
    agent.carriedOut('switch', 12, 'ok', result);
    for (const [name, { registry }] of Object.entries({ controller, agent })) {
      writeFileSync(join(directory, name), await registry.metrics());
      await run('/bin/sh', ['-c', `"${promtool}" check metrics <"${join(directory, name)}"`]);
    }
    // Every question of the dashboard is one that Prometheus can read: as rules, which promtool checks.
    const panels: { targets: { expr: string }[] }[] = JSON.parse(text('grafana-dashboard.json')).panels;
    const rules = panels
      .flatMap(({ targets }) => targets)
      .map(({ expr }, index) => ({ record: `panel:${index}`, expr: expr.replaceAll('$__rate_interval', '5m') }));
    writeFileSync(join(directory, 'rules.yml'), JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
    await run(promtool, ['check', 'rules', join(directory, 'rules.yml')]);
    t.pass();
  } finally {
    rmSync(directory, { recursive: true });
  }
});
