import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { release as kernelRelease } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { RankshiftError } from '../../errors.ts';
import { findHierarchies, testbedCgroup } from '../cgroups.ts';
import { execInNode } from '../exec.ts';
import { withLock } from '../lock.ts';
import { cacheDir, checkoutDir, lockFile, testbedPaths } from '../paths.ts';
import { planNodes } from '../plan-nodes.ts';
import { startNode } from '../start-node.ts';
import { type TestbedState, writeState } from '../state.ts';
import { release } from '../take-down.ts';
import { ensureCriuLayer } from './criu-layer.ts';

const outcomeSchema = z.object({ ok: z.boolean(), version: z.string(), lines: z.array(z.string()) });
type Outcome = z.infer<typeof outcomeSchema>;

/**
 * Directories of a node's root with a CRIU that works on the running kernel: the node image as it is where its own CRIU
 * passes the self-test, otherwise with a newer one laid over it. The outcome is kept for kernel and image.
 * @throws RankshiftError E_CRIU where neither passes, E_MISSING where the C programs are not built.
 */
export async function withWorkingCriu(nodeImage: string, progress: (line: string) => void): Promise<string[]> {
  if ((await outcomeOf([nodeImage], progress)).ok) return [nodeImage];
  const lower = [await ensureCriuLayer(nodeImage, progress), nodeImage];
  const outcome = await outcomeOf(lower, progress);
  if (outcome.ok) return lower;
  throw new RankshiftError(
    'E_CRIU',
    `no CRIU works on kernel ${kernelRelease()}; version ${outcome.version} was tried`,
    {
      lines: outcome.lines,
      action: 'Boot another kernel; docs/field-notes.md names those that were seen working.',
    },
  );
}

async function outcomeOf(lower: string[], progress: (line: string) => void): Promise<Outcome> {
  const key = [kernelRelease(), ...lower.map((dir) => basename(dir))].join('_');
  const file = join(cacheDir(), 'criu-self-tests', `${key}.json`);
  if (existsSync(file)) return outcomeSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  return await withLock(lockFile('criu-self-test'), 120_000, async () => {
    if (existsSync(file)) return outcomeSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
    const outcome = await selfTestInNode(lower);
    progress(`CRIU ${outcome.version} on kernel ${kernelRelease()}: ${outcome.ok ? 'works' : 'does not work'}`);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(`${file}.new`, `${JSON.stringify(outcome, null, 2)}\n`);
    renameSync(`${file}.new`, file);
    return outcome;
  });
}

/** Runs the self-test in a node that exists for it alone. */
async function selfTestInNode(lower: string[]): Promise<Outcome> {
  if (!existsSync(join(checkoutDir, 'build', 'bin', 'rankshift-tcp-pair'))) {
    throw new RankshiftError('E_MISSING', 'the C programs are not built', { action: 'Run scripts/setup.' });
  }
  const name = 'criu-self-test';
  const paths = testbedPaths(name);
  await release(name);
  const cgroups = findHierarchies().map((one) => ({ ...one, dir: testbedCgroup(one.mount, name) }));
  const nodes = planNodes('127.0.0', { nodes: 1, cpusPerNode: 1 }).filter(({ role }) => role === 'compute');
  const [node] = nodes;
  if (node === undefined) throw new RankshiftError('E_INTERNAL', 'a testbed without compute node');
  const state: TestbedState = {
    version: 1,
    name,
    stage: 'starting',
    subnet: 'none',
    dataDir: paths.dataDir,
    cpusPerNode: 1,
    profile: 'plain',
    cgroups,
    nodes,
  };
  try {
    writeState(state);
    for (const dir of [paths.homeDir, paths.imagesDir]) mkdirSync(dir, { recursive: true });
    node.init = await startNode(state, node, { lower, layers: [], imagesDir: paths.imagesDir, stateSize: '1g' });
    await execInNode(state, node.name, ['ip', 'link', 'set', 'lo', 'up']);
    const argv = ['/opt/rankshift/node_modules/.bin/node', '/opt/rankshift/src/checkpoint/self-test.ts', 'criu'];
    const { stdout } = await execInNode(state, node.name, argv, { timeoutMs: 60_000, allow: [0, 1] });
    return outcomeSchema.parse(JSON.parse(stdout));
  } finally {
    await release(name);
  }
}
