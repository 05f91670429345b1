import type { Redis } from 'ioredis';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { isPostponed } from '../migration/machine.ts';
import { finalStates, type MigrationRecord, migrationStates } from '../migration/record.ts';
import { listContainers } from '../store/containers.ts';
import { listActiveMigrations } from '../store/migrations.ts';
import { listNodes } from '../store/nodes.ts';
import { buckets } from '../telemetry/buckets.ts';

const activeStates = migrationStates.filter((state) => !finalStates.includes(state));

/** What a controller tells Prometheus. Its counters are its own; gauges are the cluster's, the same from each controller. */
export class ControllerMetrics {
  readonly registry = new Registry();
  readonly #registers = [this.registry];
  readonly #ended = new Counter({
    name: 'rankshift_migrations_total',
    help: 'Moves that came to an end here, by final state and error code',
    labelNames: ['state', 'reason'],
    registers: this.#registers,
  });
  readonly #downtime = this.#histogram(
    'downtime_seconds',
    'Stopped on the source until running on the target',
    buckets.freeze,
  );
  readonly #stall = this.#histogram(
    'stall_seconds',
    "Time in which the peers' connections stood still",
    buckets.freeze,
  );
  readonly #total = this.#histogram(
    'move_seconds',
    'From leaving the queue to the end of a completed move',
    buckets.life,
  );
  readonly #bytes = this.#histogram(
    'move_bytes',
    'Memory, upper directory and metadata of a completed move',
    buckets.bytes,
  );
  readonly #wire = this.#histogram(
    'move_wire_bytes',
    'What the memory of a completed move took of the wire',
    buckets.bytes,
  );
  readonly #queued = this.#histogram('queue_seconds', 'From the request until a move leaves the queue', buckets.queue);
  readonly #prediction = this.#histogram(
    'downtime_prediction_ratio',
    'Downtime of a completed move, by what its plan predicted',
    buckets.ratio,
  );
  readonly #drift = this.#histogram(
    'clock_error_bound_seconds',
    "Most by which the container's clock may have drifted in the move: half of the best round trip",
    buckets.clock,
  );
  readonly #corrected = this.#histogram(
    'clock_correction_seconds',
    "What the container's clock would have lost without correction",
    buckets.freeze,
  );

  constructor(redis: Redis, policyErrors: () => number) {
    this.#gauge('migrations', 'Moves that are not at their end', ['state'], async (gauge) => {
      const active = await listActiveMigrations(redis);
      for (const state of activeStates) gauge.set({ state }, active.filter((record) => record.state === state).length);
      const now = Date.now();
      const queued = active.filter((record) => record.state === 'queued' && !isPostponed(record, now));
      oldest.set(queued.reduce((age, { createdAt }) => Math.max(age, (now - createdAt) / 1000), 0));
      postponed.set(active.filter((record) => isPostponed(record, now)).length);
    });
    const oldest = this.#gauge(
      'queue_oldest_seconds',
      'Age of the oldest move in the queue that waits for no window',
      [],
    );
    const postponed = this.#gauge('migrations_postponed', 'Moves that wait for their window', []);
    this.#gauge('nodes', 'Nodes whose agent ever reported, by whether it does now', ['agent'], async (gauge) => {
      const nodes = await listNodes(redis);
      const up = nodes.filter(({ heartbeat }) => heartbeat !== null).length;
      gauge.set({ agent: 'up' }, up);
      gauge.set({ agent: 'down' }, nodes.length - up);
    });
    this.#gauge('containers', 'Rank containers, by state', ['state'], async (gauge) => {
      const containers = await listContainers(redis);
      for (const state of ['starting', 'running', 'ended'] as const)
        gauge.set({ state }, containers.filter((container) => container.state === state).length);
    });
    this.#gauge(
      'policy_errors',
      'Errors in the policy files; the last policy that was right stays in force',
      [],
      (gauge) => gauge.set(policyErrors()),
    );
  }

  /** Of each change of a move's state. */
  observe(record: MigrationRecord): void {
    const { state, result, plan, createdAt, endedAt, error } = record;
    const strategy = plan?.strategy ?? 'none';
    const startedAt = record.phases.find(({ name }) => name === 'preflight')?.at ?? null;
    if (state === 'preflight' && record.phases.at(-1)?.at === startedAt)
      this.#queued.observe({ strategy: 'any' }, ((startedAt ?? createdAt) - createdAt) / 1000);
    if (!finalStates.includes(state)) return;
    this.#ended.inc({ state, reason: error?.code ?? 'none' });
    if (state !== 'completed' || result === null) return;
    const seconds = (histogram: Histogram<'strategy'>, ms: number | null) => {
      if (ms !== null) histogram.observe({ strategy }, ms / 1000);
    };
    seconds(this.#downtime, result.downtimeMs);
    seconds(this.#stall, result.stallMs);
    seconds(this.#total, endedAt === null || startedAt === null ? null : endedAt - startedAt);
    if (result.bytes !== null) {
      const { pages, upper, metadata, wire } = result.bytes;
      this.#bytes.observe({ strategy }, pages + upper + metadata);
      if (wire !== null) this.#wire.observe({ strategy }, wire);
    }
    const predicted = plan?.predicted?.downtimeMs ?? 0;
    if (result.downtimeMs !== null && predicted > 0)
      this.#prediction.observe({ strategy }, result.downtimeMs / predicted);
    if (result.clock !== null) {
      this.#drift.observe({ strategy }, Number(result.clock.errorBoundNs) / 1e9);
      seconds(this.#corrected, result.clock.correctedMs);
    }
  }

  #histogram(name: string, help: string, bounds: number[]): Histogram<'strategy'> {
    const registers = this.#registers;
    return new Histogram({ name: `rankshift_${name}`, help, labelNames: ['strategy'], buckets: bounds, registers });
  }

  #gauge<L extends string>(
    name: string,
    help: string,
    labelNames: L[],
    collect?: (gauge: Gauge<L>) => unknown,
  ): Gauge<L> {
    const gauge: Gauge<L> = new Gauge<L>({
      name: `rankshift_${name}`,
      help,
      labelNames,
      registers: this.#registers,
      ...(collect === undefined ? {} : { collect: async () => void (await collect(gauge)) }),
    });
    return gauge;
  }
}
