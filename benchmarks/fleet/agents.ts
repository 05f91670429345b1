import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadCommandPublicKey, verifyEnvelope } from '../../src/channel/envelope.ts';
import { loadConfig } from '../../src/config.ts';
import { limitsOf } from '../../src/controller/turn-taker.ts';
import { RankshiftError } from '../../src/errors.ts';
import { type CommandName, type CommandPayload, commandSchemas } from '../../src/migration/commands.ts';
import { unmeasured } from '../../src/migration/record.ts';
import { takeCommands } from '../../src/store/commands.ts';
import { connectRedis } from '../../src/store/connection.ts';
import { abortSwitch, commitSwitch, openSwitch } from '../../src/store/containers.ts';
import { addHeartbeat, type Heartbeat, heartbeatSchema } from '../../src/store/nodes.ts';
import { writeResult } from '../../src/store/results.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { factsOf } from './facts.ts';
import { LimitsCheck } from './limits.ts';
import { type FromAgents, measuredMoves, nodeName, shapeSchema, type Timing } from './shape.ts';

/**
 * The agents of all nodes in one process: queues, signatures, heartbeats, answers and the commit record are the real ones;
 * in the place of CRIU, runc and the network, waiting for as long as they took when it was measured.
 */
const shape = shapeSchema.parse(JSON.parse(process.argv[2] ?? ''));
const log = createLogger('agents', 'error');
const address = { host: '127.0.0.1', port: shape.redisPort, password: '' };
const redis = connectRedis(address, log);
const key = loadCommandPublicKey(join(shape.directory, 'keys/command.pub'));
const moves = measuredMoves();
/** Of a plan: sampling of what the ranks write; of a preparation; of clearing up. The rest of a move is its switch. */
const partsMs = { inspect: 230, prepare: 150, finish: 40 };
const beatsMs = 1000;

let commands = 0;
const first = new Map<string, number>();
const limits = new LimitsCheck(limitsOf(loadConfig(join(shape.directory, 'rankshift.conf'))));
/** Containers that run, by node, as the nodes have it: none may be on two. */
const runningOn = new Map<string, string>();
const twice: string[] = [];

const wait = (ms: number) => sleep(ms * shape.slower);
const sample = (): Timing => moves[Math.floor(Math.random() * moves.length)] ?? { downtimeMs: 250, totalMs: 1200 };

const handlers: { [N in CommandName]?: (node: string, payload: CommandPayload<N>) => Promise<unknown> } = {
  inspect: async (node, { container, target }) => {
    // Without a target an evacuation is planned, and nothing moves yet.
    if (target === null) await wait(20);
    else {
      if (!first.has(container)) first.set(container, Date.now());
      limits.readied(node, 1);
      await wait(partsMs.inspect);
      limits.readied(node, -1);
    }
    const link = target === null ? null : { roundTripMs: 0.2, bytesPerSecond: 1.1e9, severalBytesPerSecond: null };
    const measured = {
      memoryBytes: 2 ** 26,
      dirtyBytesPerSecond: 2 ** 20,
      upperBytes: 4096,
      processes: 4,
      packings: null,
    };
    return { facts: factsOf(shape, container), ...measured, reasons: [], link, linkError: null };
  },
  probe: async () => ({ missingLayers: [], archives: [], storeFreeBytes: 2 ** 36 }),
  prepare: async () => await wait(partsMs.prepare),
  switch: async (node, order) => {
    const { migration, container, epoch, source, target } = order;
    const identity = { container, migration, epoch, source: source.node, target: target.node };
    const opened = await openSwitch(redis, identity);
    if (opened !== 'open') throw new RankshiftError('E_CANCELLED', `the switch of ${container} was closed: ${opened}`);
    limits.copies(migration, node, target.node);
    const { downtimeMs, totalMs } = sample();
    await wait(Math.max(0, totalMs - partsMs.inspect - partsMs.prepare - 2 * partsMs.finish));
    const before = runningOn.get(container) ?? node;
    runningOn.delete(container);
    const answer = await commitSwitch(redis, identity);
    const owner = answer === 'committed' ? target.node : node;
    if (before !== node || runningOn.has(container)) twice.push(container);
    runningOn.set(container, owner);
    limits.copied(migration);
    if (answer !== 'committed') limits.ended(migration);
    if (answer !== 'committed')
      throw new RankshiftError('E_CANCELLED', `the switch of ${container} was closed: ${answer}`);
    const bytes = { pages: 2 ** 26, upper: 4096, metadata: 70_000, wire: null };
    return { ...unmeasured, outcome: 'committed', downtimeMs, stallMs: downtimeMs, bytes };
  },
  resolve: async (_node, { migration, container }) => {
    const [at, open, last] = await redis.hmget(`rs:container:${container}`, 'epoch', 'switch', 'committed');
    const epoch = Number(at ?? 1);
    const committed = last === migration;
    // As a target where no restore began: what was prepared is removed, and may be prepared anew.
    if (!committed && open !== migration) return { outcome: 'nothing-here', result: null };
    const answer = await abortSwitch(redis, { container, migration, epoch: committed ? epoch - 1 : epoch });
    if (answer !== 'committed') limits.ended(migration);
    return { outcome: answer === 'committed' ? 'committed' : 'rolled-back', result: null };
  },
  finish: async (node, { migration, container }) => {
    await wait(partsMs.finish);
    if (runningOn.get(container) === node) limits.ended(migration);
    return { outcome: 'done', reason: null };
  },
};

async function carryOut(node: string, data: unknown): Promise<void> {
  const body = verifyEnvelope(key, data, { node });
  commands++;
  const name = body.command as CommandName;
  const handle = handlers[name] as ((node: string, payload: unknown) => Promise<unknown>) | undefined;
  const answer = await (
    handle?.(node, commandSchemas[name].parse(body.payload)) ?? Promise.reject(new Error(name))
  ).then(
    (value) => ({ ok: true, value: value ?? null }),
    (error: unknown) => ({ ok: false, error: RankshiftError.from(error).toJSON() }),
  );
  if (body.replyTo !== undefined) await writeResult(redis, body.replyTo, body.id, answer);
}

const cpuFlags = Array.from({ length: 120 }, (_, index) => `flag${index}`);

/** Of every node but for its name and what goes with that. */
const anyHeartbeat = heartbeatSchema.parse({
  ...{ name: nodeName(0), address: '10.0.0.0', port: 7461, instance: '', at: 0, kernel: '6.12', cpus: 64, load: 1 },
  ...{ memoryAvailableBytes: 2 ** 38, memoryTotalBytes: 2 ** 39, stateDirFreeBytes: 2 ** 36, cpuFlags },
  ...{ pages: { ok: true, reason: '' }, criu: { ok: true, version: '4.2.1', lines: [] } },
});
const heartbeatOf = (index: number): Heartbeat => ({
  ...anyHeartbeat,
  ...{ name: nodeName(index), address: `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}` },
  ...{ instance: instances[index] ?? '', at: Date.now() },
});

/** Heartbeats of all nodes, spread over the second as those of real ones are. */
const parts = 50;
let turn = 0;
let beating = 0;
function beat(): void {
  // Where Redis is behind, no more is piled up before it.
  if (beating > 2) return;
  beating++;
  const pipeline = redis.pipeline();
  for (let index = turn; index < started; index += parts) addHeartbeat(pipeline, heartbeatOf(index));
  turn = (turn + 1) % parts;
  const done = () => {
    beating--;
  };
  pipeline.exec().then(done, done);
}

function startNode(index: number): void {
  const node = nodeName(index);
  takeCommands(redis, node, address, log, 32, (data) => carryOut(node, data));
}

const instances = Array.from({ length: shape.nodes }, () => randomUUID());
let started = 0;
setInterval(beat, beatsMs / parts);
while (started < shape.nodes) {
  startNode(started++);
  // Connections of ten thousand nodes do not come at once.
  if (started % 50 === 0) await sleep(20);
}
// Until each has said that it is there.
await sleep(2 * beatsMs);
const tell = (message: FromAgents) => process.send?.(message);
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  const cpuSeconds = (user + system) / 1e6;
  const { mostOut, mostIn, over, overCount } = limits;
  const seen = { commands, mostOut, mostIn, over, overCount };
  tell({ type: 'figures', first: [...first], ...seen, running: [...runningOn], twice, cpuSeconds });
});
process.on('disconnect', () => process.exit(0));
tell({ type: 'ready' });
