import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { errorAnswer, nodesAnswer, parseAnswer, planAnswer } from './support/answers.ts';
import { writeScript } from './support/home.ts';
import { endedVerified, type Job, type SubmitOptions, submit, submitRun } from './support/job.ts';
import { containers, move, nodeOf, request, showMigration, tryMove, untilState } from './support/move.ts';
import { clearBreakpoint, holdService, releaseService, setBreakpoint, untilHit, whileDown } from './support/service.ts';
import { until } from './support/until.ts';
import { untilNothingIsLeft, useCluster } from './support/use-cluster.ts';

const cluster = useCluster(test, 'bad-input');
const pingpong = '/opt/rankshift-tests/bin/pingpong --seconds 300 --pause-us 500';

/** A job of alice that every bad input is aimed at; c0 on n1, c1 on n2. */
async function startJob(options: SubmitOptions = {}): Promise<Job> {
  const job = await submitRun(cluster(), pingpong, options);
  await job.untilPrinted(/progress/);
  return job;
}

/** Whatever was asked for: the ranks still exchange messages. */
async function unharmed(t: ExecutionContext, job: Job): Promise<void> {
  await job.untilPrinted(/progress/, job.lines(/progress/).length + 1, 90_000);
  t.deepEqual(await job.finish(), endedVerified, job.all);
}

interface Refusal {
  argv: string[];
  exitCode: number;
  code: string;
  message: RegExp;
  user?: string;
}

/** One message that says what and one that says what to do, for people and for programs, with the exit code. */
async function refuses(t: ExecutionContext, { argv, exitCode, code, message, user = 'alice' }: Refusal): Promise<void> {
  const what = argv.join(' ');
  const people = await cluster().rankshift(argv, { user });
  t.is(people.exitCode, exitCode, `${what}: ${people.stdout}${people.stderr}`);
  t.is(people.stdout, '', what);
  t.regex(people.stderr, message, what);
  t.regex(people.stderr, /^rankshift: error: .+\nrankshift: what to do: .+\n$/, what);
  if (['cancel', 'resolve'].includes(argv[0] ?? '')) return;
  const programs = await cluster().rankshift([...argv, '--json'], { user });
  t.is(programs.exitCode, exitCode, what);
  const { error } = parseAnswer(errorAnswer, programs);
  t.is(error.code, code, what);
  t.regex(error.message, message, what);
  t.truthy(error.action, what);
}

test('unknown and malformed names; a move that cannot be', async (t) => {
  const job = await startJob();
  const c1 = job.container(1);
  const refused = { exitCode: 3 };
  const cases: Refusal[] = [
    { argv: ['migrate', '9999.0'], ...refused, code: 'E_UNKNOWN_JOB', message: /no job 9999/ },
    { argv: ['plan', '9999'], ...refused, code: 'E_UNKNOWN_JOB', message: /no job 9999/ },
    { argv: ['migrate', job.container(7)], ...refused, code: 'E_UNKNOWN_CONTAINER', message: /no container 7; it has/ },
    { argv: ['migrate', c1, '--to', 'n9'], ...refused, code: 'E_UNKNOWN_NODE', message: /no node n9; known are n1/ },
    { argv: ['plan', c1, '--to', 'n9'], ...refused, code: 'E_UNKNOWN_NODE', message: /no node n9/ },
    { argv: ['migrate', c1, '--to', 'n2'], ...refused, code: 'E_REFUSED', message: /runs on n2 already/ },
    { argv: ['show', '777'], ...refused, code: 'E_UNKNOWN_MIGRATION', message: /no migration 777/ },
    { argv: ['show', 'x'], ...refused, code: 'E_UNKNOWN_MIGRATION', message: /no migration x/ },
    { argv: ['cancel', '777'], ...refused, code: 'E_UNKNOWN_MIGRATION', message: /no migration 777/ },
    { argv: ['migrate', String(job.id)], exitCode: 2, code: 'E_BAD_INPUT', message: /has 2 containers; name one/ },
    { argv: ['migrate', 'c1'], exitCode: 2, code: 'E_BAD_INPUT', message: /not JOB or JOB.CONTAINER: c1/ },
    { argv: ['migrate', c1, '--to', '../n2'], exitCode: 2, code: 'E_BAD_INPUT', message: /a node name/ },
  ];
  for (const one of cases) await refuses(t, one);
  for (const argv of [['migrate'], ['migrate', c1, '--clock', 'backwards'], ['migrate', c1, '--hurry'], ['nonsense']]) {
    const { exitCode, stderr } = await cluster().rankshift(argv);
    t.is(exitCode, 2, stderr);
    t.regex(stderr, /^error: /m);
  }
  const told = await cluster().rankshift(['plan', c1, '--to', 'n2']);
  t.is(told.exitCode, 3);
  t.regex(told.stdout, /refused:\n {2}target-is-source: .* runs on n2 already\nwhat to do Name another target/);
  t.notRegex(told.stdout, /not measured|not predicted/);
  await unharmed(t, job);
});

interface BadTarget {
  what: string;
  code: string;
  message: RegExp;
  /** Puts n3 into that state and waits until the service knows. */
  arrange: () => Promise<void>;
  undo: () => Promise<void>;
}

function slurm(...words: string[]): Promise<string> {
  return cluster().output('ctl', ['scontrol', 'update', 'NodeName=n3', ...words]);
}

async function untilNode(what: string, test: (node: ReturnType<typeof nodesAnswer.parse>['nodes'][number]) => boolean) {
  await until(
    `n3 ${what}`,
    async () => {
      const { nodes } = parseAnswer(nodesAnswer, await cluster().rankshift(['nodes', '--json']));
      const n3 = nodes.find(({ name }) => name === 'n3');
      return n3 !== undefined && test(n3);
    },
    { pollMs: 200 },
  );
}

/** Lays an edited copy over a file of /proc on n3, as a smaller or older machine would show it. */
async function forge(file: string, edit: string): Promise<void> {
  await cluster().output('n3', [
    '/bin/sh',
    '-c',
    `sed '${edit}' ${file} >/tmp/forged && mount --bind /tmp/forged ${file}`,
  ]);
}

/** An agent reads the features of its CPU when it starts. */
async function restartAgent(): Promise<void> {
  await holdService(cluster(), 'n3', 'agent');
  await untilNode('has no agent', ({ agentAlive }) => !agentAlive);
  await releaseService(cluster(), 'n3', 'agent');
  await cluster().untilReady();
}

const badTargets: BadTarget[] = [
  {
    what: 'down',
    code: 'target-not-available',
    message: /n3 is .*down.* in Slurm/,
    // Without its slurmd, which would register and by ReturnToService bring the node up again.
    arrange: async () => {
      await holdService(cluster(), 'n3', 'slurmd');
      // One that it had sent already may still arrive, and bring the node up once more.
      await until('n3 is down', async () => {
        await slurm('State=DOWN', 'Reason=test');
        await new Promise((resolve) => setTimeout(resolve, 500));
        return /down/.test(await cluster().output('ctl', ['sinfo', '-hn', 'n3', '-o%T']));
      });
    },
    undo: async () => {
      await releaseService(cluster(), 'n3', 'slurmd');
      await until('n3 is up', async () => /idle/.test(await cluster().output('ctl', ['sinfo', '-hn', 'n3', '-o%T'])));
    },
  },
  {
    what: 'drained',
    code: 'target-not-available',
    message: /n3 is .*drained.* in Slurm/,
    arrange: async () => void (await slurm('State=DRAIN', 'Reason=test')),
    undo: async () => void (await slurm('State=RESUME')),
  },
  {
    what: 'without agent',
    code: 'target-agent-down',
    message: /the agent on n3 does not answer/,
    arrange: async () => {
      await holdService(cluster(), 'n3', 'agent');
      await untilNode('has no agent', ({ agentAlive }) => !agentAlive);
    },
    undo: async () => {
      await releaseService(cluster(), 'n3', 'agent');
      await cluster().untilReady();
    },
  },
  {
    what: 'with too little memory',
    code: 'target-memory',
    message: /n3 has 2 MiB of memory available, \d+ MiB are needed/,
    arrange: async () => {
      await forge('/proc/meminfo', 's/^MemAvailable:.*/MemAvailable:       2048 kB/');
      await untilNode('is small', ({ memoryAvailableBytes }) => memoryAvailableBytes === 2048 * 1024);
    },
    undo: async () => void (await cluster().output('n3', ['umount', '/proc/meminfo'])),
  },
  {
    what: 'with an older CPU',
    code: 'target-cpu',
    message: /the CPU of n3 lacks (.* )?sse4_2/,
    arrange: async () => {
      await forge('/proc/cpuinfo', 's/ sse4_2\\b//');
      await restartAgent();
    },
    undo: async () => {
      await cluster().output('n3', ['umount', '/proc/cpuinfo']);
      await restartAgent();
    },
  },
];

test('a target that is drained, down, without agent, too small, of another CPU', async (t) => {
  const job = await startJob();
  const container = job.container(1);
  for (const { what, code, message, arrange, undo } of badTargets) {
    await arrange();
    try {
      const planned = await cluster().rankshift(['plan', container, '--to', 'n3', '--json']);
      t.is(planned.exitCode, 3, `${what}: ${planned.stdout}`);
      const { plan } = parseAnswer(planAnswer, planned);
      t.deepEqual(
        plan.reasons.map((reason) => reason.code),
        [code],
        what,
      );
      t.regex(plan.reasons[0]?.message ?? '', message, what);
      const { exitCode, record } = await tryMove(cluster(), container, { to: 'n3' });
      t.is(exitCode, 3, what);
      t.is(record.state, 'refused', what);
      t.regex(record.error?.message ?? '', message, what);
      t.regex(record.error?.action ?? '', /--to|none: one is chosen/, what);
    } finally {
      await undo();
    }
    t.is(await nodeOf(cluster(), container), 'n2', what);
  }
  // All of it was about n3 at that time, and nothing else.
  await cluster().untilReady();
  await until('n3 is idle again', async () =>
    /idle/.test(await cluster().output('ctl', ['sinfo', '-hn', 'n3', '-o', '%T'])),
  );
  await move(cluster(), container, { to: 'n3' });
  await unharmed(t, job);
});

test('two moves towards one node that together do not fit: the second is refused, and goes when the first is done', async (t) => {
  const on = (nodelist: string) => startJob({ nodes: 1, nodelist, tasksPerNode: 2 });
  const jobs = [await on('n1'), await on('n2')];
  const [first = '', second = ''] = jobs.map((job) => job.container(0));
  const before = await cluster().rankshift(['plan', second, '--to', 'n3', '--json']);
  const needed = (JSON.parse(before.stdout).plan.memoryBytes as number) * 2;
  const kib = Math.round((needed * 1.5) / 1024);
  await forge('/proc/meminfo', `s/^MemAvailable:.*/MemAvailable:       ${kib} kB/`);
  await untilNode('is small', ({ memoryAvailableBytes }) => memoryAvailableBytes === kib * 1024);
  setBreakpoint(cluster(), 'n3', 'target-preparing');
  const { id } = await request(cluster(), first, { to: 'n3' });
  try {
    await untilHit(cluster(), 'n3', 'target-preparing');
    const { exitCode, record } = await tryMove(cluster(), second, { to: 'n3' });
    t.is(exitCode, 3);
    t.regex(record.error?.message ?? '', /n3 has \d+ MiB of memory available/);
  } finally {
    clearBreakpoint(cluster(), 'n3', 'target-preparing');
  }
  await untilState(cluster(), id, ['completed']);
  await move(cluster(), second, { to: 'n3' });
  await cluster().output('n3', ['umount', '/proc/meminfo']);
  for (const job of jobs) await unharmed(t, job);
});

test('a container that moves already', async (t) => {
  const job = await startJob();
  const container = job.container(1);
  setBreakpoint(cluster(), 'n3', 'target-preparing');
  const { id } = await request(cluster(), container, { to: 'n3' });
  try {
    await untilHit(cluster(), 'n3', 'target-preparing');
    const message = new RegExp(`${container} is moving already \\(migration ${id}\\)`);
    await refuses(t, { argv: ['migrate', container], exitCode: 3, code: 'E_BUSY', message });
    const planned = await cluster().rankshift(['plan', container]);
    t.is(planned.exitCode, 3);
    t.regex(planned.stdout, message);
    t.regex((await cluster().rankshift(['ps'])).stdout, new RegExp(`moving \\(${id}\\)`));
  } finally {
    clearBreakpoint(cluster(), 'n3', 'target-preparing');
  }
  await untilState(cluster(), id, ['completed']);
  await unharmed(t, job);
});

for (const [where, node, how] of [
  ['target-preparing', 'n3', 'finishes'],
  ['source-held', 'n2', 'is cancelled'],
  ['target-gate', 'n3', 'is cancelled'],
  ['target-committed', 'n3', 'is cancelled'],
] as const) {
  test(`a job that ${how} while its move stands at ${where}`, async (t) => {
    const job = await startJob();
    setBreakpoint(cluster(), node, where);
    const { id } = await request(cluster(), job.container(1), { to: 'n3' });
    try {
      await untilHit(cluster(), node, where);
      if (how === 'finishes') await job.tellToEnd();
      else await cluster().output('login', ['scancel', String(job.id)], { user: 'alice' });
      // The end of the run calls its moves off; one that has committed is left to finish.
      if (where !== 'target-committed') {
        await until('the move is called off', async () => (await showMigration(cluster(), id)).cancelRequested);
      }
    } finally {
      clearBreakpoint(cluster(), node, where);
    }
    const record = await untilState(cluster(), id, ['completed', 'cancelled', 'rolled-back', 'refused']);
    if (where === 'target-committed') t.is(record.state, 'completed');
    else t.is(record.error?.code, 'E_JOB_ENDED', `${record.state} ${JSON.stringify(record.error)}`);
    const end = await job.untilEnded();
    t.is(end.state, how === 'finishes' ? 'COMPLETED' : 'CANCELLED');
    t.deepEqual(await untilNothingIsLeft(cluster()), []);
    t.deepEqual(await containers(cluster(), 'root'), []);
  });
}

/** Numbers of system calls on x86-64; the container image has Perl but no compiler. */
for (const [what, code, call] of [
  ['an io_uring', 'io-uring', '425, 8, $space'],
  ['a userfaultfd', 'userfaultfd', '323, 1'],
] as const) {
  test(`a program that opened ${what} is refused by name`, async (t) => {
    const open = `$| = 1; $space = "\\0" x 128; print syscall(${call}) < 0 ? "cannot open: $!\\n" : "opened\\n"; sleep 300`;
    const script = writeScript(
      cluster(),
      `open-${code}.sh`,
      `[ "$OMPI_COMM_WORLD_RANK" = 0 ] || perl -e '${open}' </dev/null &\nexec ${pingpong}`,
    );
    const job = await submitRun(cluster(), script);
    await job.untilPrinted(/progress/);
    const [line = ''] = await job.untilPrinted(/open/);
    if (line !== 'opened') {
      t.log(`this kernel lets nobody open it (${line}); unit tests have to do`);
      t.pass();
      return;
    }
    const { exitCode, record } = await tryMove(cluster(), job.container(1), { to: 'n3' });
    t.is(exitCode, 3);
    t.deepEqual(
      record.plan?.reasons.map((reason) => reason.code),
      [code],
    );
    t.regex(record.error?.message ?? '', new RegExp(`^perl \\(process \\d+\\) uses ${what}`));
    // The other container has no such thing.
    await move(cluster(), job.container(0), { to: 'n3' });
    await unharmed(t, job);
  });
}

test('another user sees and moves nothing of the job, whatever he says he is', async (t) => {
  const job = await startJob();
  const container = job.container(1);
  const record = await move(cluster(), container, { to: 'n3' });
  t.deepEqual(await containers(cluster(), 'bob'), []);
  t.is((await containers(cluster(), 'alice')).length, 2);
  t.notRegex((await cluster().rankshift(['show', '--json'], { user: 'bob' })).stdout, /alice/);
  const denied = { exitCode: 6, code: 'E_NOT_PERMITTED', message: /does not belong to bob/, user: 'bob' };
  for (const argv of [
    ['migrate', container, '--to', 'n2'],
    ['migrate', container, '--to', 'n2', '--wait'],
    ['migrate', job.container(7)],
    ['plan', container],
    ['show', record.id],
    ['cancel', record.id],
    ['resolve', record.id],
  ]) {
    await refuses(t, { argv, ...denied });
  }
  // Neither the environment nor an option makes somebody else of him.
  const impostor = ['env', 'USER=alice', 'LOGNAME=alice', 'SUDO_USER=alice', 'SUDO_UID=0', 'SLURM_JOB_USER=alice'];
  const forged = await cluster().exec('login', [...impostor, 'rankshift', 'migrate', container], { user: 'bob' });
  t.is(forged.exitCode, 6);
  for (const option of ['--user', '--uid', '--as']) {
    t.is((await cluster().rankshift(['migrate', container, option, 'alice'], { user: 'bob' })).exitCode, 2);
  }
  // Nor can he start anything in her allocation.
  const run = ['env', `SLURM_JOB_ID=${job.id}`, 'rankshift', 'run', '--', 'true'];
  const started = await cluster().exec('login', run, { user: 'bob' });
  t.is(started.exitCode, 6, started.stderr);
  t.regex(started.stderr, new RegExp(`job ${job.id} belongs to alice`));
  // An administrator may.
  t.is((await move(cluster(), container, { to: 'n2', user: 'root' })).requestedBy.name, 'root');
  await unharmed(t, job);
});

test('controller or Redis down: said at once with exit code 7, and the job runs on', async (t) => {
  const job = await startJob();
  const container = job.container(1);
  await whileDown(cluster(), 'ctl', 'controller', async () => {
    const message = /no controller listens at ctl:\d+/;
    for (const argv of [['ps'], ['migrate', container], ['plan', container], ['nodes'], ['show'], ['cancel', '1']]) {
      await refuses(t, { argv, exitCode: 7, code: 'E_SERVICE', message });
    }
    const outside = await cluster().exec('login', ['env', 'SLURM_JOB_ID=1', 'rankshift', 'run', '--', 'true'], {
      user: 'bob',
    });
    t.is(outside.exitCode, 7, outside.stderr);
    await job.untilPrinted(/progress/);
  });
  await cluster().untilReady();
  await whileDown(cluster(), 'ctl', 'redis', async () => {
    for (const argv of [['ps'], ['migrate', container]]) {
      const started = performance.now();
      await refuses(t, { argv, exitCode: 7, code: 'E_REDIS', message: /Redis/ });
      t.true(performance.now() - started < 30_000);
    }
  });
  await cluster().untilReady();
  // What was refused did not happen later.
  t.is(await nodeOf(cluster(), container), 'n2');
  await move(cluster(), container, { to: 'n3' });
  await unharmed(t, job);
});

test('a malformed configuration: file, line, key and what is allowed', async (t) => {
  const file = '/home/alice/bad.conf';
  for (const [text, message] of [
    ['ClusterName=x\n\nControllerPort=many\n', `${file}:3: ControllerPort=many: allowed is 1-65535`],
    ['# fine\nControlerHost=ctl\n', `${file}:2: unknown key ControlerHost; allowed are ClusterName, `],
    ['ControllerHost ctl\n', `${file}:1: not a Key=Value line: ControllerHost ctl`],
    ['Wake=yes\nWake=no\n', `${file}:2: Wake was set in line 1 already`],
    ['ClockPolicy=backwards\n', `${file}:1: ClockPolicy=backwards: allowed is continuous or frozen`],
  ] as const) {
    writeFileSync(join(cluster().testbed.paths.homeDir, 'alice', 'bad.conf'), text);
    for (const [node, command, user] of [
      ['login', ['rankshift', 'ps'], 'alice'],
      ['n1', ['rankshift', 'agent'], 'root'],
      ['ctl', ['rankshift', 'controller'], 'root'],
    ] as const) {
      const argv = ['env', `RANKSHIFT_CONF=${file}`, ...command];
      const { exitCode, stderr } = await cluster().exec(node, argv, { user, timeoutMs: 60_000 });
      t.is(exitCode, 2, stderr);
      t.true(stderr.startsWith(`rankshift: error: ${message}`), stderr);
      t.regex(stderr, /\nrankshift: what to do: Correct the named line/);
    }
  }
  const absent = await cluster().exec('login', ['env', 'RANKSHIFT_CONF=/no/such.conf', 'rankshift', 'ps']);
  t.is(absent.exitCode, 2);
  t.regex(absent.stderr, /cannot read \/no\/such.conf/);
});

test('a migration that was refused is on record, with its reasons', async (t) => {
  const job = await submit(cluster(), `exec rankshift run -- ${pingpong}`, { nodes: 3 });
  await job.untilPrinted(/progress/);
  await cluster().output('ctl', ['scontrol', 'update', 'NodeName=n2', 'State=DRAIN', 'Reason=test']);
  const { record } = await tryMove(cluster(), job.container(2), { to: 'n2' });
  await cluster().output('ctl', ['scontrol', 'update', 'NodeName=n2', 'State=RESUME']);
  t.is(record.state, 'refused');
  const shown = await showMigration(cluster(), record.id, 'alice');
  t.deepEqual(shown, record);
  t.regex(
    (await cluster().rankshift(['show', record.id])).stdout,
    /error +E_REFUSED in preflight: .*\n.*running on source/s,
  );
  await unharmed(t, job);
});
