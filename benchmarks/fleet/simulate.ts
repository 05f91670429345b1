import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { MigrationRecord } from '../../src/migration/record.ts';
import { activeKey } from '../../src/store/connection.ts';
import { listMigrations } from '../../src/store/migrations.ts';
import { type Begun, type Fairness, fairness } from './fairness.ts';
import { callsPerMove, counted, phasesOf, type Quantiles, quantiles } from './figures.ts';
import { fillRecords, type Leaving, leavingOf, prepareDirectory } from './prepare.ts';
import { answerOf, endProcess, startProcess } from './processes.ts';
import { redisFigures, startRedis } from './redis.ts';
import type { FromAgents, FromController, Shape, ToController } from './shape.ts';

export interface Simulated {
  moves: number;
  /** Final state -> how many. */
  states: Record<string, number>;
  seconds: number;
  movesPerSecond: number;
  /** From the request to the first command that an agent took, ms; null of an evacuation. */
  firstCommandMs: Quantiles | null;
  /** From the request to the end of the move, ms. */
  totalMs: Quantiles | null;
  /** The most moves out of one node and into one node at one time, as the nodes counted them. */
  mostOut: number;
  mostIn: number;
  /** How often the nodes saw a limit passed, and the first few times. */
  overLimit: number;
  over: string[];
  /** Of an evacuation. */
  fairness: Fairness | null;
  /** Containers that ran on two nodes, or on another one than their record says: none may. */
  wrong: string[];
  /** Containers that are not where they were asked to go, and why moves did not end as they should: message -> how many. */
  unmoved: number;
  errors: Record<string, number>;
  controller: { cpuMsPerMove: number; rssMiB: number; heapMiB: number };
  /** Median time of a move in each state, ms. */
  phasesMs: Record<string, number>;
  redis: {
    commandsPerMove: number;
    /** The commands that are most of them. */
    calls: Record<string, number>;
    cpuMsPerMove: number;
    usedMiB: number;
    idleCommandsPerSecond: number;
  };
  agents: { commandsPerMove: number; cpuMsPerMove: number };
}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

type ControllerFigures = FromController & { type: 'figures' };
type AgentFigures = FromAgents & { type: 'figures' };

/** Empties the first nodes of a fleet. @throws Error where it does not end in time. */
export async function simulate(
  given: Omit<Shape, 'directory' | 'redisPort'>,
  say: (line: string) => void,
): Promise<Simulated> {
  const directory = mkdtempSync(join(tmpdir(), 'rankshift-fleet-'));
  const children: ChildProcess[] = [];
  const server = await startRedis(directory, say);
  const { redis } = server;
  const { restMs } = given;
  // An interrupted benchmark leaves nothing behind; agents and controller end with their channel.
  const interrupted = () => {
    server.process.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
    process.exit(130);
  };
  for (const signal of signals) process.once(signal, interrupted);
  const shape: Shape = { ...given, directory, redisPort: server.port };
  const startController = async () => {
    const controller = startProcess('controller.ts', shape);
    children.unshift(controller);
    await answerOf<FromController>(controller, 'ready');
    return controller;
  };
  try {
    prepareDirectory(shape);
    await fillRecords(redis, shape);
    const agents = startProcess('agents.ts', shape);
    children.push(agents);
    await answerOf<FromAgents>(agents, 'ready');
    let controller = await startController();
    await sleep(restMs);
    const [controllerBefore, agentsBefore] = await cpuOf(controller, agents);
    const before = await redisFigures(redis);
    await sleep(restMs);
    const idle = await redisFigures(redis);
    const idlePerSecond = (idle.commands - before.commands) / (restMs / 1000);
    const idleCpu = (idle.cpuSeconds - before.cpuSeconds) / (restMs / 1000);
    const [controllerAtRest, agentsAtRest] = await cpuOf(controller, agents);
    const controllerIdle = (controllerAtRest - controllerBefore) / (restMs / 1000);
    const agentsIdle = (agentsAtRest - agentsBefore) / (restMs / 1000);
    const leaving = leavingOf(shape);
    say(`${leaving.length} containers leave ${shape.leaving} of ${shape.nodes} nodes`);
    const started = Date.now();
    const order: ToController =
      shape.by === 'moves'
        ? { type: 'submit', containers: leaving, rate: shape.rate }
        : { type: 'evacuate', nodes: [...nodesOf(leaving)] };
    const submitted = answerOf<FromController & { type: 'submitted' }>(controller, 'submitted', order);
    let cpuOfKilled = 0;
    await untilEnded(redis, shape, leaving.length, say, submitted, async (ended) => {
      say(`the controller is killed after ${ended} moves`);
      cpuOfKilled = (await answerOf<ControllerFigures>(controller, 'figures', { type: 'figures' })).cpuSeconds;
      controller.removeAllListeners('exit');
      controller.kill('SIGKILL');
      controller = await startController();
    });
    const seconds = (Date.now() - started) / 1000;
    const [after, ofController, ofAgents, { at }] = await Promise.all([
      redisFigures(redis),
      answerOf<ControllerFigures>(controller, 'figures', { type: 'figures' }),
      answerOf<AgentFigures>(agents, 'figures', {}),
      submitted,
    ]);
    const first = new Map(ofAgents.first);
    const waits = at.map(([id, asked]) => (first.get(id) ?? Number.NaN) - asked);
    const records = await listMigrations(redis, leaving.length);
    const states = counted(records.map(({ state }) => state));
    const perMove = (cpuSeconds: number) => (cpuSeconds * 1000) / leaving.length;
    return {
      ...{ moves: leaving.length, states, seconds, movesPerSecond: leaving.length / seconds },
      firstCommandMs: quantiles(waits),
      totalMs: quantiles(records.map(({ totalMs }) => totalMs ?? Number.NaN)),
      phasesMs: phasesOf(records),
      ...{ mostOut: ofAgents.mostOut, mostIn: ofAgents.mostIn, overLimit: ofAgents.overCount, over: ofAgents.over },
      fairness: shape.by === 'evacuation' ? fairness(begunOf(records, first), started) : null,
      ...(await placesOf(redis, shape, leaving, ofAgents)),
      errors: counted(records.flatMap(({ error }) => (error === null ? [] : [`${error.code} ${error.message}`]))),
      controller: {
        cpuMsPerMove: perMove(ofController.cpuSeconds + cpuOfKilled - controllerAtRest - controllerIdle * seconds),
        ...{ rssMiB: ofController.rssMiB, heapMiB: ofController.heapMiB },
      },
      redis: {
        commandsPerMove: (after.commands - idle.commands - idlePerSecond * seconds) / leaving.length,
        calls: callsPerMove(before, idle, after, { seconds, moves: leaving.length, restMs }),
        cpuMsPerMove: perMove(after.cpuSeconds - idle.cpuSeconds - idleCpu * seconds),
        ...{ usedMiB: after.usedMiB, idleCommandsPerSecond: idlePerSecond },
      },
      agents: {
        commandsPerMove: ofAgents.commands / leaving.length,
        cpuMsPerMove: perMove(ofAgents.cpuSeconds - agentsAtRest - agentsIdle * seconds),
      },
    };
  } finally {
    for (const signal of signals) process.off(signal, interrupted);
    redis.disconnect();
    for (const child of children) await endProcess(child);
    server.process.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Of each container its first move: what was begun anew after that waits for other reasons. */
function begunOf(records: readonly MigrationRecord[], first: ReadonlyMap<string, number>): Begun[] {
  const asked = Map.groupBy(records, ({ container }) => container);
  return [...asked].flatMap(([container, moves]) => {
    const request = Math.min(...moves.map(({ id }) => Number(id)));
    const at = first.get(container);
    const source = moves.find(({ id }) => Number(id) === request)?.source ?? null;
    return at === undefined || source === null ? [] : [{ request, source, at }];
  });
}

/** Seconds of the processor that both have used so far. */
async function cpuOf(controller: ChildProcess, agents: ChildProcess): Promise<[number, number]> {
  const figures = await Promise.all([
    answerOf<ControllerFigures>(controller, 'figures', { type: 'figures' }),
    answerOf<AgentFigures>(agents, 'figures', {}),
  ]);
  return [figures[0].cpuSeconds, figures[1].cpuSeconds];
}

/** Until all moves have ended; at most once in between `kill`. @throws Error where they do not end in time. */
async function untilEnded(
  redis: Redis,
  shape: Shape,
  moves: number,
  say: (line: string) => void,
  submitted: Promise<unknown>,
  kill: (ended: number) => Promise<void>,
): Promise<void> {
  const deadline = Date.now() + shape.deadlineMs;
  let killed = shape.killAfter === null;
  let told = Date.now();
  let taken = false;
  submitted.then(
    () => {
      taken = true;
    },
    () => undefined,
  );
  for (;;) {
    await sleep(50);
    const counts = await redis.multi().zcard('rs:migrations').scard(activeKey).scard('rs:groups-active').exec();
    const [known = 0, active = 0, groups = 0] = (counts ?? []).map(([, count]) => Number(count));
    const ended = known - active;
    if (taken && groups === 0 && active === 0) return;
    if (Date.now() > deadline) throw new Error(`${ended} of ${moves} moves ended in time`);
    if (!killed && taken && ended >= (shape.killAfter ?? 0)) {
      killed = true;
      await kill(ended);
    }
    if (Date.now() - told > 5000) {
      told = Date.now();
      say(`${ended} of ${moves}`);
    }
  }
}

async function placesOf(
  redis: Redis,
  shape: Shape,
  leaving: readonly Leaving[],
  { running, twice }: Pick<AgentFigures, 'running' | 'twice'>,
): Promise<Pick<Simulated, 'wrong' | 'unmoved'>> {
  const pipeline = redis.pipeline();
  for (const { id } of leaving) pipeline.hget(`rs:container:${id}`, 'owner');
  const owners = ((await pipeline.exec()) ?? []).map(([, owner]) => String(owner));
  const emptied = nodesOf(leaving);
  const runs = new Map(running);
  const moved = (to: string, owner: string) => (shape.by === 'moves' ? owner === to : !emptied.has(owner));
  return {
    wrong: [
      ...twice,
      ...leaving.filter(({ id, from }, at) => (runs.get(id) ?? from) !== owners[at]).map(({ id }) => id),
    ],
    unmoved: leaving.filter(({ to }, at) => !moved(to, owners[at] ?? '')).length,
  };
}

const nodesOf = (leaving: readonly Leaving[]) => new Set(leaving.map(({ from }) => from));
