import { setTimeout as sleep } from 'node:timers/promises';
import { isFinal } from '../../src/migration/machine.ts';
import type { MigrationRecord, Strategy } from '../../src/migration/record.ts';
import { mayLeavePages } from '../../src/migration/strategy-kind.ts';
import { healLink } from '../../src/testbed/index.ts';
import type { Cluster } from '../support/cluster.ts';
import { type Job, submitRun } from '../support/job.ts';
import { request } from '../support/move.ts';
import { clearBreakpoint, killService, releaseService, setBreakpoint, untilHit } from '../support/service.ts';
import { until } from '../support/until.ts';
import { untilNothingIsLeft } from '../support/use-cluster.ts';
import { CopyWatch } from './copies.ts';
import { type Fault, faults, heal, type Parts } from './faults.ts';
import { misplaced } from './places.ts';
import type { Point } from './points.ts';
import { Records } from './records.ts';

/** One row of the table, as it went. */
export interface Row {
  fault: string;
  point: string;
  /** Final state of the migration. */
  state: string;
  error: string;
  /** Of CRIU, quoted in the error. */
  lines: string[];
  seconds: number;
  /** What is wrong; empty where all is right. */
  wrong: string[];
}

export interface StrikeOptions {
  index?: number;
  again?: Point | undefined;
  /** @defaultValue defaultStrategy */
  strategy?: Strategy;
}

export const defaultStrategy: Strategy = 'pre-copy';

const finalMs = 120_000;
const settledMs = 60_000;

/** A testbed of three nodes with a job of two containers that verifies itself; its container 1 moves to and fro. */
export class Lane {
  readonly cluster: Cluster;
  readonly records: Records;
  /** Another one after a container was lost, which only a post-copy may do. */
  job: Job;

  private constructor(cluster: Cluster, job: Job) {
    this.cluster = cluster;
    this.records = new Records(cluster);
    this.job = job;
  }

  static async start(cluster: Cluster): Promise<Lane> {
    return new Lane(cluster, await startJob(cluster));
  }

  /**
   * Moves the container, strikes when `point` is reached, and looks at everything afterwards.
   * @param index of the container that moves @defaultValue 1
   * @param again where an agent that clears up after the strike is killed once more
   */
  async strike(
    fault: Fault,
    point: Point,
    { index = 1, again, strategy = defaultStrategy }: StrikeOptions = {},
  ): Promise<Row> {
    const started = performance.now();
    const name = again === undefined ? point.name : `${point.name}, ${again.name}`;
    const row: Row = { fault: fault.name, point: name, state: '-', error: '', lines: [], seconds: 0, wrong: [] };
    const watch = new CopyWatch(this.cluster, this.job.id, index);
    try {
      const parts = await this.parts(index);
      watch.start();
      const record = await this.#move(fault, point, parts, { index, again, strategy });
      row.state = record.state;
      row.error = record.error === null ? '' : `${record.error.code} ${record.error.message}`;
      row.lines = record.error?.lines ?? [];
      row.wrong.push(...wrongEnd(record, point, mayLeavePages(strategy) && fault.cutsPages === true));
      if (fault.name === faults.controller.name && record.state === 'completed' && record.result?.downtimeMs == null)
        row.wrong.push('the downtime is not told, although both agents lived');
      if (record.state === 'lost') row.wrong.push(...(await this.#afterLoss(watch)));
      else row.wrong.push(...(await this.look(record, parts, index, watch)));
    } catch (error) {
      row.wrong.push((error as Error).message);
      await this.#mend();
    }
    row.wrong.push(...new Set(watch.stop()));
    row.seconds = (performance.now() - started) / 1000;
    return row;
  }

  async parts(index: number): Promise<Parts> {
    const [source, peer] = await Promise.all([
      this.records.owner(this.job.container(index)),
      this.records.owner(this.job.container(1 - index)),
    ]);
    const target = this.cluster.nodes.find((node) => node !== source && node !== peer);
    if (target === undefined) throw new Error('no free node');
    return { source, peer, target };
  }

  async #move(
    fault: Fault,
    point: Point,
    parts: Parts,
    { index, again, strategy }: { index: number; again: Point | undefined; strategy: Strategy },
  ): Promise<MigrationRecord> {
    const place = (one: Point) => (one.at === 'controller' ? 'ctl' : parts[one.at]);
    const armed = again === undefined ? [point] : [point, again];
    for (const one of armed) setBreakpoint(this.cluster, place(one), one.name);
    try {
      const { id } = await request(this.cluster, this.job.container(index), { to: parts.target, strategy });
      await untilHit(this.cluster, place(point), point.name);
      const undo = await fault.strike(this.cluster, parts, id);
      const struckAt = performance.now();
      await sleep(fault.keepMs);
      clearBreakpoint(this.cluster, place(point), point.name);
      if (again !== undefined) {
        await untilHit(this.cluster, place(again), again.name);
        await killService(this.cluster, place(again), 'agent');
        clearBreakpoint(this.cluster, place(again), again.name);
      }
      await heal(fault, undo, struckAt);
      return await this.untilFinal(id);
    } finally {
      for (const one of armed) clearBreakpoint(this.cluster, place(one), one.name);
    }
  }

  async untilFinal(id: string): Promise<MigrationRecord> {
    return await until(
      `migration ${id} ends`,
      async () => {
        const record = await this.records.migration(id);
        return isFinal(record.state) ? record : undefined;
      },
      { timeoutMs: finalMs, pollMs: 100 },
    );
  }

  /** The container runs on one node, by the records and in truth; nothing is left over; the job goes on. */
  async look(record: MigrationRecord, parts: Parts, index: number, watch: CopyWatch): Promise<string[]> {
    const container = this.job.container(index);
    const owner = record.state === 'completed' ? parts.target : parts.source;
    const places = new Map([
      [index, owner],
      [1 - index, parts.peer],
    ]);
    const before = this.job.lines(/"event":"progress"/).length;
    let wrong: string[] = [];
    await until(
      'all is in its place',
      async () => {
        wrong = [];
        const [known, lock, active, ready] = await Promise.all([
          this.records.owner(container),
          this.records.lock(container),
          this.records.active(),
          this.records.allReady(),
        ]);
        if (known !== owner) wrong.push(`the record says ${known}, not ${owner}`);
        if (lock !== '') wrong.push(`still locked by ${lock}`);
        if (active.length > 0) wrong.push(`still active: ${active.join(' ')}`);
        if (!ready) wrong.push('an agent is not back');
        const running = watch.running();
        if (running.join() !== owner) wrong.push(`runs on ${running.join(' and ')} instead of ${owner}`);
        if (wrong.length === 0) wrong.push(...(await misplaced(this.cluster, this.job.id, places)));
        if (this.job.lines(/"event":"progress"/).length <= before) wrong.push('the job does not go on');
        return wrong.length === 0;
      },
      { timeoutMs: settledMs, pollMs: 200 },
    ).catch((error: Error) => {
      if (wrong.length === 0) wrong.push(error.message);
    });
    return wrong;
  }

  /** The job ends as one that lost a rank, no copy runs on, nothing is left; the next row has a job of its own. */
  async #afterLoss(watch: CopyWatch): Promise<string[]> {
    const { state } = await this.job.untilEnded(settledMs);
    const left = await untilNothingIsLeft(this.cluster);
    const wrong = [
      ...(state === 'FAILED' ? [] : [`the container is lost, and its job ended ${state}`]),
      ...(/was lost on/.test(this.job.stderr) ? [] : ['the job does not say that a container was lost']),
      ...watch.running().map((node) => `still runs on ${node}`),
      ...left.map((one) => `left: ${one}`),
    ];
    this.job = await startJob(this.cluster);
    return wrong;
  }

  /** After a row that went wrong the next one begins with everything in order. */
  async #mend(): Promise<void> {
    const [a = '', b = '', c = ''] = this.cluster.nodes;
    for (const [one, other] of [
      [a, b],
      [a, c],
      [b, c],
    ] as const) {
      await healLink(this.cluster.testbed.state, one, other);
    }
    await releaseService(this.cluster, 'ctl', 'redis');
    const over = async () => (await this.records.allReady()) && (await this.records.active()).length === 0;
    await until('all agents are back and no move is under way', over, { timeoutMs: finalMs }).catch(() => undefined);
  }
}

async function startJob(cluster: Cluster): Promise<Job> {
  const job = await submitRun(cluster, '/opt/rankshift-tests/bin/memhog --seconds 3600 --mib 24 --step-ms 20');
  await job.untilPrinted(/"event":"progress"/, 2);
  return job;
}

function wrongEnd({ state, error }: MigrationRecord, point: Point, mayBeLost: boolean): string[] {
  const allowed = point.committed ? ['completed'] : ['completed', 'rolled-back', 'refused'];
  if (mayBeLost) allowed.push('lost');
  if (!allowed.includes(state)) return [`ended ${state}: ${JSON.stringify(error)}`];
  if (state !== 'completed' && (error === null || error.message === '')) return ['no reason is given'];
  return [];
}
