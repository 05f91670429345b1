import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { containerOf, nodeName, type Shape } from './shape.ts';

/** Keys, configuration and what stands for scontrol, as a management node has them. */
export function prepareDirectory(shape: Shape): void {
  const { directory } = shape;
  mkdirSync(join(directory, 'keys'), { recursive: true });
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  writeFileSync(join(directory, 'keys/command.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
  writeFileSync(join(directory, 'keys/command.pub'), publicKey.export({ type: 'spki', format: 'pem' }));
  const nodes = Array.from({ length: shape.nodes }, (_, index) => ({
    ...{ name: nodeName(index), address: nodeName(index), state: ['MIXED'], reason: '' },
    ...{ cpus: 64, real_memory: 500_000, alloc_cpus: 10, alloc_memory: 0 },
  }));
  writeFileSync(join(directory, 'nodes.json'), JSON.stringify({ nodes }));
  const scontrol = join(directory, 'scontrol');
  writeFileSync(scontrol, `#!/bin/sh\nexec cat "${join(directory, 'nodes.json')}"\n`);
  chmodSync(scontrol, 0o755);
  const lines = {
    KeyDir: join(directory, 'keys'),
    PolicyDir: join(directory, 'policy.d'),
    ScontrolPath: scontrol,
    AllocationFollow: 'none',
    MovesAtOnce: shape.movesAtOnce,
    // What the controller can do is measured, not what links and nodes may be asked for.
    MaxMoves: 10_000,
    ...(shape.by === 'evacuation' ? {} : { MaxMovesOut: 10_000, MaxMovesIn: 10_000, MaxMovesPerLink: 10_000 }),
  };
  const text = Object.entries(lines).map(([name, value]) => `${name}=${value}\n`);
  writeFileSync(join(directory, 'rankshift.conf'), text.join(''));
}

/** The records of all containers and runs, as if they had been started. */
export async function fillRecords(redis: Redis, shape: Shape): Promise<void> {
  const jobs = Math.ceil(shape.containers / shape.containersPerJob);
  for (let job = 1; job <= jobs; job++) {
    const pipeline = redis.pipeline();
    const first = (job - 1) * shape.containersPerJob;
    const count = Math.min(shape.containersPerJob, shape.containers - first);
    const of = Array.from({ length: count }, (_, index) => containerOf(shape, first + index));
    for (const { id, index, node } of of) {
      pipeline.hset(`rs:container:${id}`, {
        ...{ id, job, index, uid: 1000, user: 'alice', image: 'mpi', state: 'running', owner: node, epoch: 1 },
        ...{ switch: '', migration: '', moves: 0, startedAt: Date.now(), committed: '' },
      });
      pipeline.sadd('rs:containers', id);
    }
    const run = {
      ...{ job, run: '0123456789abcdef', uid: 1000, user: 'alice', image: 'mpi', nodes: of.map(({ node }) => node) },
      ...{ containers: of.length, ranksPerContainer: 1, program: ['a'], state: 'running', startedAt: Date.now() },
    };
    pipeline.hset('rs:runs', String(job), JSON.stringify(run));
    await pipeline.exec();
  }
}

export interface Leaving {
  id: string;
  from: string;
  to: string;
}

/** Every container of the first nodes, to the other nodes in turn. */
export function leavingOf(shape: Shape): Leaving[] {
  const emptied = new Set(Array.from({ length: shape.leaving }, (_, index) => nodeName(index)));
  const all = Array.from({ length: shape.containers }, (_, number) => containerOf(shape, number));
  const staying = shape.nodes - shape.leaving;
  return all
    .filter(({ node }) => emptied.has(node))
    .map(({ id, node }, index) => ({ id, from: node, to: nodeName(shape.leaving + (index % staying)) }));
}
