import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { slurmView } from './view.ts';

const scratch = mkdtempSync(join(tmpdir(), 'rankshift-view-'));
test.after.always(() => rmSync(scratch, { recursive: true }));
const scontrolPath = join(scratch, 'scontrol');

function answers(script: string): void {
  writeFileSync(scontrolPath, `#!/bin/sh\n${script}\n`);
  chmodSync(scontrolPath, 0o755);
}

const node = '{"nodes":[{"name":"n1","address":"n1","state":["IDLE","DRAIN"],"cpus":2,"real_memory":100}]}';

test.serial('a slurmctld that never answered is an error, and is left alone for a while after a failure', async (t) => {
  answers('echo "slurm_load_node error: Unable to contact slurm controller" >&2; exit 1');
  await t.throwsAsync(slurmView({ scontrolPath }, 1000), { message: /gave no answer/ });
  answers(`echo '${node}'`);
  await t.throwsAsync(slurmView({ scontrolPath }, 5999));
  t.deepEqual((await slurmView({ scontrolPath }, 6000))[0]?.state, ['idle', 'drained']);
});

test.serial(
  'what it said last counts for ten minutes, answers in the shape of another release are no answers',
  async (t) => {
    answers(`echo '${node}'`);
    const before = await slurmView({ scontrolPath }, 100_000);
    answers('echo \'{"nodes":"n1"}\'');
    t.deepEqual(await slurmView({ scontrolPath }, 110_000), before);
    answers('exit 1');
    t.deepEqual(await slurmView({ scontrolPath }, 120_000), before);
    t.deepEqual(await slurmView({ scontrolPath }, 700_000), before);
    await t.throwsAsync(slurmView({ scontrolPath }, 700_001));
  },
);

test.serial(
  'many who ask at the same time cost two questions, and nobody gets an answer from before he asked',
  async (t) => {
    const asked = join(scratch, 'asked');
    answers(`echo >>${asked}; sleep 0.2; echo '${node}'`);
    const first = slurmView({ scontrolPath }, 800_000);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const later = Array.from({ length: 20 }, () => slurmView({ scontrolPath }, 800_000));
    await Promise.all([first, ...later]);
    t.is(readFileSync(asked, 'utf8'), '\n\n');
  },
);
