import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { run } from '../process/run.ts';
import { hookEventSchema } from './spool.ts';

const source = join(import.meta.dirname, '..', '..', 'slurm');
const hookFile = (event: string) => join(source, `${event}.d`, '50-rankshift.sh');
const scratch = mkdtempSync(join(tmpdir(), 'rankshift-hooks-'));
test.after.always(() => rmSync(scratch, { recursive: true }));

const slurmEnv = {
  SLURM_JOB_ID: '42',
  SLURM_JOB_UID: '1000',
  SLURM_JOB_USER: 'alice',
  SLURM_JOB_NODELIST: 'n[1-4,07]',
  SLURMD_NODENAME: 'n1',
  SLURM_CLUSTER_NAME: 'spike',
  SLURM_JOB_COMMENT: 'he said "hi"',
};

/** Runs a hook as slurmd does, with nothing but the given environment, on a state directory of its own. */
async function hook(state: string, event: string, env: Record<string, string>, shell = '/bin/sh'): Promise<number> {
  const conf = join(scratch, `${event}.${Math.random()}.conf`);
  const script = `${conf}.sh`;
  writeFileSync(conf, `# a comment\nStateDir = ${state} # why\n`);
  const text = readFileSync(hookFile(event), 'utf8').replace(/^conf=.*$/m, `conf=${conf}`);
  writeFileSync(script, text.replace('-t rankshift-hook', '-t rankshift-hook-test --no-act'));
  const pairs = Object.entries(env).map(([key, value]) => `${key}=${value}`);
  const { exitCode, stdout, stderr, ms } = await run('/usr/bin/env', ['-i', ...pairs, shell, script], { allow: 'any' });
  if (stdout !== '' || stderr !== '') throw new Error(`the hook printed: ${stdout}${stderr}`);
  if (ms > 2000) throw new Error(`the hook took ${ms} ms`);
  return exitCode;
}

function stateDir(name: string): { state: string; spool: string } {
  const state = join(scratch, name);
  const spool = join(state, 'spool', 'hooks');
  mkdirSync(spool, { recursive: true });
  return { state, spool };
}

for (const shell of ['/bin/sh', '/bin/bash']) {
  for (const event of ['prolog', 'epilog']) {
    test(`${event} leaves one whole note under ${shell}`, async (t) => {
      const { state, spool } = stateDir(`${event}${shell.replaceAll('/', '-')}`);
      const before = Date.now();
      t.is(await hook(state, event, slurmEnv, shell), 0);
      const files = readdirSync(spool);
      t.is(files.length, 1);
      t.regex(files[0] ?? '', new RegExp(`^${event}-42-\\d{19}\\.json$`));
      const note = hookEventSchema.parse(JSON.parse(readFileSync(join(spool, files[0] ?? ''), 'utf8')));
      t.like(note, { event, job: 42, uid: 1000, user: 'alice', node: 'n1', cluster: 'spike' } as Partial<typeof note>);
      t.deepEqual(note.nodes, ['n1', 'n2', 'n3', 'n4', 'n07']);
      t.true(note.at >= before - 1 && note.at <= Date.now());
    });
  }
}

test('values that could break the JSON are left out', async (t) => {
  const { state, spool } = stateDir('odd');
  const env = { ...slurmEnv, SLURM_JOB_USER: 'a"b\\', SLURM_JOB_UID: '007', SLURMD_NODENAME: 'n1\n$(id)' };
  t.is(await hook(state, 'prolog', env), 0);
  const text = readFileSync(join(spool, readdirSync(spool)[0] ?? ''), 'utf8');
  t.like(JSON.parse(text), { user: '', uid: 0, node: '', job: 42 });
});

test('without a job id, without a directory, and where it cannot write, it exits 0 and leaves nothing', async (t) => {
  const { state, spool } = stateDir('silent');
  t.is(await hook(state, 'prolog', { SLURM_JOB_ID: 'x;rm' }), 0);
  t.is(await hook(state, 'prolog', {}), 0);
  t.deepEqual(readdirSync(spool), []);
  const absent = join(scratch, 'absent');
  t.is(await hook(absent, 'epilog', slurmEnv), 0);
  t.false(existsSync(absent));
});

test('prolog and epilog differ in the event and the first sentence only', (t) => {
  const body = (event: string) => readFileSync(hookFile(event), 'utf8').replace(/^(event=.*|# Rankshift's .*)$/gm, '');
  t.is(body('prolog'), body('epilog'));
});
