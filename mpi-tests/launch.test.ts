import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { writeScript } from './support/home.ts';
import { submit, submitRun } from './support/job.ts';
import { until } from './support/until.ts';
import { untilNothingIsLeft, useCluster } from './support/use-cluster.ts';

const cluster = useCluster(test, 'launch');

test('containers run as the job user, without capabilities, with an address of their own', async (t) => {
  const probe = writeScript(
    cluster(),
    'identity.sh',
    `set -- $(sed -n 's/^\\(CapEff\\|CapPrm\\|CapInh\\|CapBnd\\|NoNewPrivs\\):[[:space:]]*/\\1=/p' /proc/self/status)
ip=$(awk '/32 host LOCAL/ { print last } { last = $2 }' /proc/net/fib_trie | grep -v '^127' | sort -u | tr '\\n' ' ')
echo "rank=$OMPI_COMM_WORLD_RANK name=$(cat /proc/sys/kernel/hostname) uid=$(id -u) gid=$(id -g)" "$@" \\
  "links=$(ls /sys/class/net | tr '\\n' ',') mac=$(cat /sys/class/net/eth0/address) ip=$ip pid1=$(cat /proc/1/comm)"`,
  );
  const job = await submitRun(cluster(), probe, { nodes: 3 });
  const end = await job.untilEnded();
  t.deepEqual(end, { state: 'COMPLETED', exitCode: 0, signal: 0 }, job.all);
  const { uid, gid } = statSync(join(cluster().testbed.paths.homeDir, 'alice'));
  t.not(uid, 0);
  const none = '0000000000000000';
  t.deepEqual(
    job.lines(/^rank=/).sort(),
    [0, 1, 2].map((index) =>
      [
        `rank=${index} name=c${index} uid=${uid} gid=${gid}`,
        `CapInh=${none} CapPrm=${none} CapEff=${none} CapBnd=${none} NoNewPrivs=1`,
        `links=eth0,lo, mac=02:52:53:00:00:0${index + 1} ip=10.201.0.${index + 1}  pid1=init`,
      ].join(' '),
    ),
  );
});

test('output comes as it is written, standard output and error apart', async (t) => {
  const program = writeScript(
    cluster(),
    'speak.sh',
    `[ "$OMPI_COMM_WORLD_RANK" = 0 ] || exec sleep 5
for word in one two three; do echo "out $word $(date +%s%N)"; echo "err $word" >&2; sleep 1.5; done`,
  );
  // Pipes of the script: what is measured is rankshift run, not the file system.
  const job = await submit(
    cluster(),
    `rankshift run -- ${program} | while read -r line; do echo "$line $(date +%s%N)"; done`,
  );
  await job.untilEnded();
  const lines = job.lines(/^out /).map((line) => line.split(' '));
  t.deepEqual(
    lines.map(([, word]) => word),
    ['one', 'two', 'three'],
    job.all,
  );
  for (const [, word, written, read] of lines) {
    const lateMs = (Number(read) - Number(written)) / 1e6;
    // Three lines 1.5 s apart: were they held until the end, the first would be 4.5 s late.
    t.true(lateMs < 3000, `${word} came ${lateMs} ms late`);
  }
  t.deepEqual(job.stderr.match(/err \w+/g), ['err one', 'err two', 'err three']);
  t.notRegex(job.stdout, /err /);
  t.notRegex(job.stderr, /out /);
});

test('exit codes are those of the program; runs follow one another; each leaves nothing while the job goes on', async (t) => {
  const crash = writeScript(cluster(), 'crash.sh', 'kill -SEGV $$');
  const job = await submit(
    cluster(),
    `rankshift run -- true; echo "ended well $?"
rankshift run -- sh -c 'exit 7'; echo "ended with seven $?"
rankshift run -- ${crash}; echo "ended by a signal $?"
rankshift run -- /no/such/program; echo "no program $?"
rankshift run --image no-such-image -- true; echo "no image $?"
rankshift run --ranks-per-container many -- true; echo "not a number $?"
rankshift run --ranks-per-container 0 -- true; echo "no ranks $?"
rankshift run; echo "nothing to run $?"
rankshift run -- true; echo "ended well again $?"
exec sleep 60`,
  );
  await job.untilPrinted(/^ended well again/);
  const codes = Object.fromEntries(
    job.lines(/ \d+$/).map((line) => [line.replace(/ \d+$/, ''), Number(/\d+$/.exec(line)?.[0])]),
  );
  t.like(
    codes,
    {
      'ended well': 0,
      'ended with seven': 7,
      'ended by a signal': 128 + 11,
      'no image': 3,
      'not a number': 2,
      'no ranks': 2,
      'nothing to run': 2,
      'ended well again': 0,
    },
    job.all,
  );
  t.not(codes['no program'], 0);
  t.regex(job.stderr, /no\/such\/program/);
  t.regex(job.stderr, /no-such-image.*\n.*what to do: .*image ls/);
  t.regex(job.stderr, /ranks-per-container/);
  t.is(await job.ended(), undefined);
  t.deepEqual(await untilNothingIsLeft(cluster()), []);
});

test('--ranks-per-container, and the tasks per node of the job without it', async (t) => {
  const program = `sh -c 'echo "$(cat /proc/sys/kernel/hostname) $OMPI_COMM_WORLD_RANK of $OMPI_COMM_WORLD_SIZE"'`;
  const job = await submit(
    cluster(),
    `rankshift run --ranks-per-container 3 -- ${program}; rankshift run -- ${program}`,
    { tasksPerNode: 2 },
  );
  t.is((await job.untilEnded()).exitCode, 0, job.all);
  t.deepEqual(job.lines(/of 6/).sort(), ['c0 0 of 6', 'c0 1 of 6', 'c0 2 of 6', 'c1 3 of 6', 'c1 4 of 6', 'c1 5 of 6']);
  t.deepEqual(job.lines(/of 4/).sort(), ['c0 0 of 4', 'c0 1 of 4', 'c1 2 of 4', 'c1 3 of 4']);
});

test('scancel: the program sees SIGTERM, everything ends, nothing is left', async (t) => {
  const program = writeScript(
    cluster(),
    'terminated.sh',
    // To a file: mpirun does not wait for the last words of ranks elsewhere.
    `trap 'touch "$HOME/terminated.$OMPI_COMM_WORLD_RANK"; exit 0' TERM
trap 'echo "rank $OMPI_COMM_WORLD_RANK saw USR1"' USR1
echo "rank $OMPI_COMM_WORLD_RANK ready"
while :; do sleep 0.1; done`,
  );
  const job = await submitRun(cluster(), program);
  await job.untilPrinted(/ready/, 2);
  await cluster().output('login', ['scancel', '--batch', '--signal=USR1', String(job.id)], { user: 'alice' });
  await job.untilPrinted(/saw USR1/, 2, 90_000);
  await cluster().output('login', ['scancel', String(job.id)], { user: 'alice' });
  const end = await job.untilEnded(90_000);
  t.is(end.state, 'CANCELLED');
  const home = join(cluster().testbed.paths.homeDir, 'alice');
  t.deepEqual(
    readdirSync(home)
      .filter((name) => name.startsWith('terminated.'))
      .sort(),
    ['terminated.0', 'terminated.1', 'terminated.sh'],
    job.all,
  );
  t.deepEqual(await untilNothingIsLeft(cluster()), []);
});

test('a program that ignores SIGTERM ends with its job all the same', async (t) => {
  const program = writeScript(cluster(), 'stubborn.sh', `trap '' TERM\necho ready\nwhile :; do sleep 0.1; done`);
  const job = await submitRun(cluster(), program);
  await job.untilPrinted(/ready/, 2);
  await cluster().output('login', ['scancel', String(job.id)], { user: 'alice' });
  t.is((await job.untilEnded(90_000)).state, 'CANCELLED');
  t.deepEqual(await untilNothingIsLeft(cluster()), []);
});

test('after kill -9 of rankshift run the epilog has everything removed', async (t) => {
  const job = await submitRun(cluster(), '/opt/rankshift-tests/bin/allreduce --seconds 300');
  await job.untilPrinted(/progress/);
  const node = cluster().nodes[0] ?? '';
  const pid = await until('rankshift run is found', async () => {
    const found = await cluster().output(node, ['pgrep', '-u', 'alice', '-f', 'main.js run']);
    return found.split('\n')[0];
  });
  await cluster().output(node, ['kill', '-KILL', pid]);
  const end = await job.untilEnded();
  t.is(end.signal, 9, JSON.stringify(end));
  t.deepEqual(await untilNothingIsLeft(cluster()), []);
});

test('rankshift run outside a job says where it belongs', async (t) => {
  const { exitCode, stdout, stderr } = await cluster().rankshift(['run', '--', 'true']);
  t.is(exitCode, 2);
  t.is(stdout, '');
  t.regex(stderr, /SLURM_JOB_ID/);
  t.regex(stderr, /what to do: .*sbatch/);
});
