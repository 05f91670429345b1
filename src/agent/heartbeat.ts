import { readFile, statfs } from 'node:fs/promises';
import { availableParallelism, loadavg, release } from 'node:os';
import { criuSelfTest } from '../checkpoint/self-test.ts';
import { probeSoftDirty } from '../checkpoint/soft-dirty.ts';
import type { Config } from '../config.ts';
import { probePages } from '../pages/probe-pages.ts';
import { type Heartbeat, heartbeatMs, writeHeartbeat } from '../store/nodes.ts';
import { cpuFeatures } from '../topology/cpu.ts';
import type { AgentContext } from './context.ts';
import { LoadMeter } from './load.ts';
import { pagesProgramOf } from './local-handle.ts';

/** Says every second that this agent lives, and how its node does. CRIU's self-test runs once, at the start. */
export async function startHeartbeat(context: AgentContext): Promise<void> {
  const { config, log, instance } = context;
  // Instruction-set flags only: others (constant_tsc, ...) differ without meaning for a program.
  const cpuFlags = (await cpuFeatures()).flags;
  const [pages, softDirty] = await Promise.all([probeLazyMemory(config), hasSoftDirty(config)]);
  context.metrics.works('pages', pages.ok);
  if (!pages.ok) {
    const then = softDirty
      ? "CRIU's rounds take its place"
      : 'moves freeze a container for as long as its memory takes';
    log.warn({ reason: pages.reason }, `our tracker does not work here: ${then}`);
  }
  let criu: Heartbeat['criu'] = { ok: false, version: 'unknown', lines: ['the self-test has not ended yet'] };
  const tested = criuSelfTest(config.criuPath, { binDir: config.binDir }).then(
    (result) => {
      criu = result;
      context.metrics.works('criu', result.ok);
      log[!result.ok ? 'error' : result.leavesOut ? 'info' : 'warn']({ criu: result }, 'CRIU self-test');
    },
    (error: Error) => {
      criu = { ok: false, version: 'unknown', lines: [error.message] };
      context.metrics.works('criu', false);
      log.error({ error: error.message }, 'CRIU self-test');
    },
  );
  const load = new LoadMeter(context);
  const beat = async () => {
    const { address, node: name } = context;
    const balance = await load.look().catch(() => null);
    const facts = await nodeFigures(config.stateDir);
    await writeHeartbeat(context.redis, {
      name,
      address,
      port: config.agentPort,
      instance,
      at: Date.now(),
      kernel: release(),
      ...facts,
      balance,
      pages,
      softDirty,
      criu,
      cpuFlags,
    });
  };
  const tell = () => beat().catch((error: Error) => log.debug({ error: error.message }, 'heartbeat'));
  const timer = setInterval(() => void tell(), heartbeatMs);
  // At once: whoever waits for an answer of an earlier start learns that none will come.
  void tell();
  context.stopping.addEventListener('abort', () => clearInterval(timer));
  await tested;
  await beat();
}

/** Whether our tracker and lazy memory work here and may be used. */
async function probeLazyMemory(config: Config): Promise<Heartbeat['pages']> {
  if (!config.lazyMemory) return { ok: false, reason: 'LazyMemory=no' };
  if (config.tracking === 'soft-dirty') return { ok: false, reason: 'Tracking=soft-dirty' };
  return await probePages(pagesProgramOf(config));
}

/** Also where our tracker works: a target whose kernel has not got it is moved to by CRIU's rounds. */
async function hasSoftDirty({ tracking, criuPath }: Config): Promise<boolean> {
  return tracking !== 'wp-async' && (await probeSoftDirty(criuPath));
}

/** Memory and space in bytes, load, processors. */
async function nodeFigures(stateDir: string) {
  const [meminfo, space] = await Promise.all([readFile('/proc/meminfo', 'utf8'), statfs(stateDir)]);
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(meminfo)?.[1] ?? 0);
  return {
    memoryAvailableBytes: kib('MemAvailable') * 1024,
    memoryTotalBytes: kib('MemTotal') * 1024,
    stateDirFreeBytes: space.bavail * space.bsize,
    cpus: availableParallelism(),
    load: loadavg()[0] ?? 0,
  };
}
