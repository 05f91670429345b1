import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { RankshiftError } from '../errors.ts';
import { jobFacts, nodeFacts, runningJobs, toJobFacts } from './facts.ts';
import { jobSchema } from './facts-schema.ts';
import { spreadTasks } from './tasks.ts';

const fixtures = join(import.meta.dirname, 'fixtures');
const scratch = mkdtempSync(join(tmpdir(), 'rankshift-facts-'));
test.after.always(() => rmSync(scratch, { recursive: true }));

/** A stand-in for scontrol that runs the given shell line. */
function fakeScontrol(name: string, body: string): { scontrolPath: string } {
  const scontrolPath = join(scratch, name);
  writeFileSync(scontrolPath, `#!/bin/sh\n${body}\n`);
  chmodSync(scontrolPath, 0o755);
  return { scontrolPath };
}

const answering = (fixture: string) => fakeScontrol(`answer-${fixture}`, `cat ${join(fixtures, fixture)}`);

test('reads a running job of Slurm 24.11', async (t) => {
  t.deepEqual(await jobFacts(answering('job-running.json'), 1), {
    job: 1,
    user: 'alice',
    uid: 1000,
    gid: 1000,
    state: 'running',
    stateFlags: [],
    nodes: ['n1'],
    batchHost: 'n1',
    cpusPerNode: { n1: 2 },
    tasksPerNode: { n1: 2 },
    memoryPerNode: { n1: 500 },
    workDir: '/tmp',
    name: 'a "q" job',
    account: '',
    partition: 'one',
    ...{ qos: '', reservation: '', wckey: '', whole: false, restarts: 1, adminComment: '' },
    timeLimit: 3600,
    endTime: 1_795_233_390_000,
    comment: 'he said "hi"',
  });
});

test('reads what a job of three nodes has on each', async (t) => {
  const facts = await jobFacts(answering('job-three-nodes.json'), 1);
  t.deepEqual(facts.nodes, ['n1', 'n2', 'n3']);
  t.deepEqual(facts.cpusPerNode, { n1: 2, n2: 2, n3: 1 });
  t.deepEqual(facts.tasksPerNode, { n1: 2, n2: 2, n3: 1 });
  t.is(facts.memoryPerNode, undefined);
});

/** scontrol of 24.11 for a job that its answer in JSON does not list: what it says without JSON, and how it exits. */
const without = (name: string, plain: string) =>
  fakeScontrol(name, `case "$*" in *--json*) cat ${join(fixtures, 'job-unknown.json')};; *) ${plain};; esac`);
const says = (text: string) => `echo "slurm_load_jobs error: ${text}" >&2; exit 1`;

test('a job that Slurm does not know: 24.11 exits 0 with an empty list, older ones exit 1', async (t) => {
  const invalid = says('Invalid job id specified');
  for (const config of [without('unknown', invalid), fakeScontrol('older', invalid)]) {
    await t.throwsAsync(jobFacts(config, 999), { instanceOf: RankshiftError, code: 'E_UNKNOWN_JOB', message: /999/ });
  }
});

test('a slurmctld that is away is not taken for one that knows no job and no node', async (t) => {
  // As 24.11 does: after 18 s scontrol exits 0 with empty lists.
  const away = without('away', says('Unable to contact slurm controller (connect failure)'));
  await t.throwsAsync(jobFacts(away, 4), { code: 'E_SLURM', message: /Unable to contact/ });
  const back = without('back', 'echo JobId=4 JobName=lammps');
  await t.throwsAsync(jobFacts(back, 4), { code: 'E_SLURM', message: /then knew it: JobId=4/ });
  await t.throwsAsync(runningJobs(away), { code: 'E_SLURM' });
  const noNodes = fakeScontrol('no-nodes', `echo '{"nodes":[],"last_update":{"set":true,"number":0},"errors":[]}'`);
  await t.throwsAsync(nodeFacts(noNodes), { code: 'E_SLURM' });
  await t.throwsAsync(nodeFacts(noNodes, ['n1']), { code: 'E_SLURM' });
});

test('no jobs at all is an answer where slurmctld gave it', async (t) => {
  const idle = fakeScontrol('idle', `echo '{"jobs":[],"last_update":{"set":true,"number":1795229831}}'`);
  t.deepEqual(await runningJobs(idle), []);
});

test('running jobs leave out what is pending', async (t) => {
  const jobs = await runningJobs(answering('jobs.json'));
  t.deepEqual(
    jobs.map(({ job }) => job),
    [1],
  );
});

test('reads node states as sinfo shows them', async (t) => {
  const nodes = await nodeFacts(answering('nodes.json'));
  t.deepEqual(
    nodes.map(({ name, state, usable }) => [name, state.join(), usable]),
    [
      ['n1', 'allocated,draining', false],
      ['n2', 'down,not_responding', false],
      ['n3', 'down,drained,not_responding', false],
      ['n4', 'down,not_responding', false],
    ],
  );
  t.like(nodes[0], { reason: 'disk "sda" fails', cpus: 2, memoryMiB: 2000, allocatedMemoryMiB: 500, address: 'n1' });
});

test('an unknown node is named', async (t) => {
  await t.throwsAsync(nodeFacts(answering('nodes.json'), ['n2', 'n9']), { code: 'E_UNKNOWN_NODE', message: /n9/ });
});

test('the bare numbers and single texts of older releases', (t) => {
  const facts = toJobFacts(
    jobSchema.parse({
      job_id: 7,
      user_name: 'bob',
      user_id: 1001,
      group_id: 1001,
      job_state: 'RUNNING',
      nodes: 'n[1-2]',
      batch_host: 'n1',
      job_resources: {
        nodes: 'n[1-2]',
        allocated_nodes: [
          { nodename: 'n1', cpus_used: 4, memory_allocated: 1000 },
          { nodename: 'n2', cpus_used: 2, memory_allocated: 500 },
        ],
      },
      tasks: 6,
      tasks_per_node: null,
      cpus_per_task: 1,
      memory_per_node: null,
      time_limit: 4294967295,
      end_time: 1700000000,
    }),
  );
  t.like(facts, { state: 'running', cpusPerNode: { n1: 4, n2: 2 }, tasksPerNode: { n1: 4, n2: 2 }, comment: '' });
  t.deepEqual(facts.memoryPerNode, { n1: 1000, n2: 500 });
  t.is(facts.timeLimit, undefined);
});

test('a Slurm that hangs, fails, or answers nonsense is E_SLURM', async (t) => {
  const cases = [
    fakeScontrol('hang', 'exec sleep 20'),
    fakeScontrol('refuse', 'echo "Unable to contact slurm controller" >&2; exit 1'),
    fakeScontrol('text', 'echo JobId=1'),
    fakeScontrol('shape', `echo '{"jobs":[{"job_id":"x"}]}'`),
  ];
  for (const config of cases) await t.throwsAsync(jobFacts(config, 1, { timeoutMs: 500 }), { code: 'E_SLURM' });
  await t.throwsAsync(jobFacts({ scontrolPath: join(scratch, 'absent') }, 1), { code: 'E_MISSING' });
});

test('every task gets a node and every node a task', (t) => {
  const job = fc.record({ cpus: fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1 }), tasks: fc.nat(500) });
  fc.assert(
    fc.property(job, fc.integer({ min: 1, max: 4 }), ({ cpus, tasks }, cpusPerTask) => {
      const nodes = cpus.map((_, index) => `n${index}`);
      const cpusPerNode = Object.fromEntries(nodes.map((node, index) => [node, cpus[index] ?? 1]));
      const spread = Object.values(spreadTasks(nodes, cpusPerNode, { tasks, tasksPerNode: 0, cpusPerTask }));
      t.is(
        spread.reduce((sum, count) => sum + count, 0),
        Math.max(tasks, nodes.length),
      );
      t.true(spread.every((count) => count >= 1));
    }),
  );
});
