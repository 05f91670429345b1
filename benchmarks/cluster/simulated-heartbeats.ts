/**
 * Runs on the management node: says every second what so many agents would say, each of a node with running containers, of
 * which some are held up. `simulated-heartbeats.ts NODES CONTAINERS-PER-NODE HELD-UP`. Ends by a signal.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from '../../src/config.ts';
import { containerId } from '../../src/migration/container.ts';
import { connectRedis, redisAddress } from '../../src/store/connection.ts';
import { createContainer, readContainers } from '../../src/store/containers.ts';
import { type Heartbeat, heartbeatMs, type NodeLoad, readHeartbeat, writeHeartbeat } from '../../src/store/nodes.ts';
import { createLogger } from '../../src/telemetry/logger.ts';

const perJob = 10;
const firstJob = 1000;
/** Heartbeats that are written together. */
const together = 50;

const [nodes = 0, perNode = 0, held = 0] = process.argv.slice(2).map(Number);
const redis = connectRedis(redisAddress(loadConfig()), createLogger('simulated-heartbeats', 'error'));
const real = await readHeartbeat(redis, 'n1');
if (real === null) throw new Error('n1 says nothing');

const places = Array.from({ length: nodes * perNode }, (_, index) => {
  const job = firstJob + Math.floor(index / perJob);
  return { id: containerId(job, index % perJob), job, index: index % perJob, node: `s${1 + (index % nodes)}` };
});
const there = new Set(
  (
    await readContainers(
      redis,
      places.map(({ id }) => id),
    )
  ).map(({ id }) => id),
);
for (const { id, job, index, node } of places) {
  if (there.has(id)) continue;
  await createContainer(redis, {
    ...{ id, job, index, uid: 1000, user: 'alice', image: 'ranks', state: 'running', owner: node, epoch: 1 },
    ...{ switch: '', migration: '', heading: '', moves: 0, run: '', startedAt: Date.now() },
  });
}

const containersOf = new Map<string, NodeLoad['containers']>();
for (const [index, { id, node }] of places.entries()) {
  const containers = containersOf.get(node) ?? {};
  // One of a job, so that as many jobs are held up.
  const isHeld = index % perJob === 0 && index / perJob < held;
  containers[id] = [0.912, isHeld ? 0.553 : 0.021, 0, 0.118];
  containersOf.set(node, containers);
}
const heartbeats = [...containersOf].map(([name, containers]): Heartbeat => {
  const balance = { used: perNode, pressure: 0.113, runQueue: perNode, steal: 0.002, memory: 0.001, containers };
  return { ...real, name, cpus: 2 * perNode, balance };
});
console.log(`ready: ${heartbeats.length} nodes, ${places.length} containers`);
for (;;) {
  const started = performance.now();
  for (let at = 0; at < heartbeats.length; at += together) {
    const some = heartbeats.slice(at, at + together);
    await Promise.all(some.map((one) => writeHeartbeat(redis, { ...one, at: Date.now() })));
    // Agents do not all speak at the same moment.
    await sleep(Math.max(0, ((at + together) / heartbeats.length) * heartbeatMs * 0.9 - (performance.now() - started)));
  }
  await sleep(Math.max(0, heartbeatMs - (performance.now() - started)));
}
