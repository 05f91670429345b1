import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import test from 'ava';
import { freePort } from '../process/testing/free-port.ts';
import { createLogger } from './logger.ts';
import { serveMetrics } from './serve-metrics.ts';
import { completed, result, sources } from './testing/sample-metrics.ts';

/** Debian's own, which scripts/setup takes out of its package. */
const programs = join(process.env['RANKSHIFT_CACHE'] ?? '/var/cache/rankshift', 'prometheus/usr/bin');
const [promtool, prometheus] = [join(programs, 'promtool'), join(programs, 'prometheus')];
const monitoring = join(import.meta.dirname, '../../monitoring');
const text = (file: string) => readFileSync(join(monitoring, file), 'utf8');
const run = promisify(execFile);
const startMs = 60_000;

const directory = mkdtempSync(join(tmpdir(), 'rankshift-prometheus-'));
test.after.always(() => rmSync(directory, { recursive: true, force: true }));
test.before((t) => {
  if (!existsSync(promtool)) throw new Error(`${promtool} is missing: run scripts/setup as root`);
  t.pass();
});

function afterOneMove() {
  const { controller, agent } = sources();
  const { begun, ended } = completed();
  controller.observe(begun);
  controller.observe(ended);
  agent.carriedOut('switch', 12, 'ok', result);
  return { controller, agent };
}

/** What the panels of the dashboard ask, with an interval in the place of Grafana's. */
function questions(): string[] {
  const panels: { targets: { expr: string }[] }[] = JSON.parse(text('grafana-dashboard.json')).panels;
  return panels.flatMap(({ targets }) => targets).map(({ expr }) => expr.replaceAll('$__rate_interval', '5m'));
}

test('promtool takes rules, configuration, metrics and what the dashboard asks as they are', async (t) => {
  await run(promtool, ['check', 'rules', join(monitoring, 'alerts.yml')]);
  await run(promtool, ['check', 'config', join(monitoring, 'prometheus.yml')]);
  for (const [name, { registry }] of Object.entries(afterOneMove())) {
    const checked = run(promtool, ['check', 'metrics']);
    checked.child.stdin?.end(await registry.metrics());
    await t.notThrowsAsync(checked, name);
  }
  const rules = questions().map((expr, index) => ({ record: `panel:${index}`, expr }));
  const file = join(directory, 'panels.yml');
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
  await run(promtool, ['check', 'rules', file]);
});

test('a real Prometheus scrapes controller and agent, evaluates the rules and answers the dashboard', async (t) => {
  t.timeout(2 * startMs);
  const log = createLogger('test', 'silent');
  const { controller, agent } = afterOneMove();
  const serve = async ({ registry }: Pick<typeof controller, 'registry'>) =>
    serveMetrics({ host: '127.0.0.1', port: await freePort(), registry, log });
  const [ofController, ofAgent] = [await serve(controller), await serve(agent)];
  const settings = text('prometheus.yml')
    .replace('scrape_interval: 15s', 'scrape_interval: 1s\n  evaluation_interval: 1s')
    .replace(/\["controller:.*\]/, `["127.0.0.1:${ofController.port}"]`)
    .replace(/\["n1:.*\]/, `["127.0.0.1:${ofAgent.port}"]`);
  writeFileSync(join(directory, 'prometheus.yml'), settings);
  writeFileSync(join(directory, 'alerts.yml'), text('alerts.yml'));
  const address = `127.0.0.1:${await freePort()}`;
  const argv = [`--config.file=${join(directory, 'prometheus.yml')}`, `--storage.tsdb.path=${join(directory, 'data')}`];
  const server = spawn(prometheus, [...argv, `--web.listen-address=${address}`], { stdio: 'ignore' });
  const ended = once(server, 'exit');
  const ask = async (path: string) => {
    const answer = await fetch(`http://${address}/api/v1/${path}`).catch(() => null);
    return answer?.ok === true ? ((await answer.json()) as { data: Answer }).data : null;
  };
  const query = (expr: string) => ask(`query?query=${encodeURIComponent(expr)}`);
  try {
    const deadline = performance.now() + startMs;
    const up = async () => (await query('sum(up)'))?.result?.[0]?.value?.[1];
    while ((await up()) !== '2' && performance.now() < deadline) await sleep(200);
    t.is(await up(), '2');
    const downtime = await query('rankshift_downtime_seconds_sum{strategy="pre-copy"}');
    t.is(downtime?.result?.[0]?.value?.[1], '0.3');
    for (const expr of questions()) t.not(await query(expr), null, expr);
    const evaluated = async () => (await ask('rules'))?.groups?.flatMap(({ rules }) => rules) ?? [];
    while ((await evaluated()).some(({ health }) => health === 'unknown') && performance.now() < deadline)
      await sleep(200);
    const rules = await evaluated();
    t.is(rules.length, text('alerts.yml').match(/- alert:/g)?.length ?? 0);
    for (const { name, health, lastError } of rules) t.is(health, 'ok', `${name}: ${lastError}`);
  } finally {
    server.kill();
    await ended;
    await Promise.all([ofController.close(), ofAgent.close()]);
  }
});

interface Answer {
  result?: { value?: [number, string] }[];
  groups?: { rules: { name: string; health: string; lastError?: string }[] }[];
}
