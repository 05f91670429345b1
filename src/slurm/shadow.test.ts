import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { readStepNodes } from './allocation.ts';
import { askShadow, readShadows, type ShadowRequest, tryShadow } from './shadow.ts';

/** Programs of Slurm that note how they were called, and answer with a script. */
function slurm(t: ExecutionContext, scripts: Record<string, string>): { scontrolPath: string; calls: () => string } {
  const dir = mkdtempSync(join(tmpdir(), 'rankshift-slurm-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  for (const name of ['scontrol', 'salloc', 'sbatch', 'squeue', 'scancel']) {
    const body = `#!/bin/sh\necho "${name} $*" >>${dir}/calls\n${scripts[name] ?? ''}\n`;
    writeFileSync(join(dir, name), body);
    chmodSync(join(dir, name), 0o755);
  }
  writeFileSync(join(dir, 'calls'), '');
  return { scontrolPath: join(dir, 'scontrol'), calls: () => readFileSync(join(dir, 'calls'), 'utf8') };
}

const { uid = 0, gid = 0 } = { uid: process.getuid?.(), gid: process.getgid?.() };
const comment = 'rankshift: shadow of 42.1 for move 7';
const request: ShadowRequest = {
  job: { job: 42, uid, gid, account: 'physics', partition: 'long', qos: '', reservation: '', wckey: '' },
  ...{ node: 'n3', cpus: 2, memoryMiB: 500, whole: false, minutes: 30, comment },
};

test('lines of squeue are read, with any comment, and what is no such line is left out', (t) => {
  const text = [
    `8|1000|RUNNING|n3|1795272057|1-02:03:00|${comment}`,
    '9|1000|PENDING||N/A|UNLIMITED|a|b',
    'slurm_load_jobs error',
    '',
  ].join('\n');
  t.deepEqual(readShadows(text), [
    {
      ...{ slurmJob: 8, uid: 1000, state: 'RUNNING', nodes: ['n3'] },
      ...{ startedAt: 1795272057000, limitMinutes: 1563, comment },
    },
    {
      ...{ slurmJob: 9, uid: 1000, state: 'PENDING', nodes: [] },
      ...{ startedAt: 0, limitMinutes: Number.POSITIVE_INFINITY, comment: 'a|b' },
    },
  ]);
});

test('steps of srun count, the script and extern do not', (t) => {
  t.deepEqual(readStepNodes('42.batch|n1\n42.extern|n[1-3]\n42.0|n[2-3]\n42.1|n3\n'), ['n2', 'n3']);
});

test('a shadow is asked for with the account and the limits of its job', async (t) => {
  const fake = slurm(t, { salloc: 'echo "salloc: Granted job allocation 43" >&2' });
  t.is(await askShadow(fake, request, { waitMs: 5000 }), 43);
  t.regex(fake.calls(), /^salloc --no-shell .*--cpus-per-task=2 --nodelist=n3 --time=30 --partition=long /);
  t.regex(fake.calls(), /--account=physics --mem=500M$/m);
  t.notRegex(fake.calls(), /--qos|--exclusive|scancel/);
});

test("Slurm's refusal is quoted", async (t) => {
  const fake = slurm(t, { salloc: 'echo "salloc: error: Job submit/allocate failed: Invalid qos" >&2; exit 1' });
  await t.throwsAsync(askShadow(fake, request, { waitMs: 5000 }), {
    code: 'E_ALLOCATION',
    message: /will not hold n3 for job 42: Job submit\/allocate failed: Invalid qos/,
  });
});

test('a slurmctld that is away has refused nothing', async (t) => {
  const says = 'salloc: error: Job submit/allocate failed: Unable to contact slurm controller (connect failure)';
  const fake = slurm(t, { salloc: `echo "${says}" >&2; exit 1` });
  await t.throwsAsync(askShadow(fake, request, { waitMs: 5000 }), { code: 'E_SLURM', message: /Unable to contact/ });
});

test('a request that waits is pushed forward, and cancelled when the time is over', async (t) => {
  const line = `43|${uid}|PENDING||N/A|30:00|${comment}`;
  const fake = slurm(t, { salloc: 'exec sleep 30', squeue: `echo '${line}'` });
  await t.throwsAsync(askShadow(fake, request, { waitMs: 2500 }), { code: 'E_ALLOCATION', message: /within 3 s/ });
  t.regex(fake.calls(), /^scontrol update JobId=43 Priority=4294967293$/m);
  t.regex(fake.calls(), /^scancel --quiet 43$/m);
});

test('a dry run says from when on Slurm could', async (t) => {
  const answer = (at: Date) =>
    `echo 'sbatch: Job 4 to start at ${local(at)} using 1 processors on nodes n3 in partition long' >&2`;
  const local = (at: Date) => new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
  t.is(await tryShadow(slurm(t, { sbatch: answer(new Date()) }), request, 5000), null);
  const late = await tryShadow(slurm(t, { sbatch: answer(new Date(Date.now() + 3_600_000)) }), request, 5000);
  t.regex(late ?? '', /could hold n3 for job 42 only from \d{4}-/);
  const silent = slurm(t, { sbatch: 'echo "sbatch: error: Unable to contact slurm controller" >&2; exit 1' });
  await t.throwsAsync(tryShadow(silent, request, 5000), { code: 'E_SLURM' });
});
