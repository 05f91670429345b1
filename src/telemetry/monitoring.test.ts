import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { freePort } from '../process/testing/free-port.ts';
import { createLogger } from './logger.ts';
import { serveMetrics } from './serve-metrics.ts';
import { completed, result, sources } from './testing/sample-metrics.ts';

const monitoring = join(import.meta.dirname, '../../monitoring');
const text = (file: string) => readFileSync(join(monitoring, file), 'utf8');

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
  const server = await serveMetrics({ host: '127.0.0.1', port: await freePort(), registry: controller.registry, log });
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
