import { generateKeyPairSync } from 'node:crypto';
import test from 'ava';
import { type Envelope, type EnvelopeBody, signEnvelope } from '../src/channel/envelope.ts';
import { writeScript } from './support/home.ts';
import { endedVerified, type Job, submitRun } from './support/job.ts';
import { nodeOf } from './support/move.ts';
import { killService } from './support/service.ts';
import { until } from './support/until.ts';
import { useCluster } from './support/use-cluster.ts';

const cluster = useCluster(test, 'security');
const attacks = '/opt/rankshift/mpi-tests/attacks';

interface Options {
  user?: string;
  input?: string;
}

/** Runs a program of mpi-tests/attacks in a node and reads its last line. */
async function attack<T>(node: string, name: string, args: string[] = [], options: Options = {}): Promise<T> {
  const argv = ['/opt/rankshift/node_modules/.bin/node', `${attacks}/${name}.ts`, ...args];
  const text = await cluster().output(node, argv, options);
  return JSON.parse(text.split('\n').at(-1) ?? '') as T;
}

/** Puts a command before an agent with nothing but the password of Redis; it is there until the agent has taken it. */
async function queue(node: string, data: unknown): Promise<{ taken: boolean }> {
  return await attack('ctl', 'write-queue', [], { input: JSON.stringify({ node, data }) });
}

/** What an agent says in its log of commands that it did not carry out. */
async function refusals(node: string): Promise<string[]> {
  const shown = `grep -h 'a command was not carried out' /var/log/rankshift/agent.log || true`;
  return (await cluster().output(node, ['/bin/sh', '-c', shown])).split('\n').filter((line) => line !== '');
}

/** The same, and why the agent refused it. */
async function refused(node: string, data: unknown): Promise<string> {
  const before = (await refusals(node)).length;
  await queue(node, data);
  return await until('the agent says why it refused', async () => (await refusals(node))[before]);
}

/** A command as it went to an agent. */
async function recorded(node: string, command: string): Promise<Envelope> {
  const found = await attack<Envelope | null>('ctl', 'write-queue', [], {
    input: JSON.stringify({ node, recorded: command }),
  });
  if (found === null) throw new Error(`no ${command} in the queue of ${node}`);
  return found;
}

async function stillRuns(job: Job): Promise<void> {
  await job.untilPrinted(/progress/, job.lines(/progress/).length + 1, 90_000);
}

test('an agent refuses commands that are not signed with the key of the cluster', async (t) => {
  const job = await submitRun(cluster(), '/opt/rankshift-tests/bin/pingpong --seconds 600 --pause-us 1000');
  await job.untilPrinted(/progress/);
  const container = job.container(1);
  const body: EnvelopeBody = {
    id: 'forged-1',
    node: 'n2',
    command: 'teardown',
    container,
    payload: { container },
    expiresAt: Date.now() + 60_000,
  };
  const { privateKey } = generateKeyPairSync('ed25519');
  const foreign = signEnvelope(privateKey, body);
  const launched = await recorded('n2', 'launch');
  const notSigned = /command refused: it is not signed with the command key of this cluster/;
  for (const [what, data, reason] of [
    ['without a signature', body, /command refused: its shape is wrong/],
    ['with an empty signature', { ...body, signature: '0'.repeat(128) }, notSigned],
    ['signed with another key', foreign, notSigned],
    ['no command at all', { op: 'teardown' }, /its shape is wrong/],
    ['a genuine one as another command', { ...launched, command: 'teardown', payload: { container } }, notSigned],
    ['a genuine one with a later expiry', { ...launched, id: 'x', expiresAt: Date.now() + 3_600_000 }, notSigned],
  ] as const) {
    t.regex(await refused('n2', data), reason, what);
  }
  await stillRuns(job);
  t.is(await nodeOf(cluster(), container), 'n2');
  t.deepEqual(await job.finish(), endedVerified, job.all);
});

test('a genuine command is carried out once, on its own node, by the start of the agent that it was meant for', async (t) => {
  // Replayed, this command has an effect that can be counted.
  const program = writeScript(
    cluster(),
    'count.sh',
    `n=0; trap 'n=$((n + 1)); echo "signal $n"' USR1; echo ready; while :; do sleep 0.1; done`,
  );
  const job = await submitRun(cluster(), program);
  await job.untilPrinted(/ready/, 2);
  const signal = ['scancel', '--batch', '--signal=USR1', String(job.id)];
  await cluster().output('login', signal, { user: 'alice' });
  await job.untilPrinted(/signal 1/, 2);
  const genuine = await recorded('n1', 'signal');
  t.like(genuine.payload, { signal: 'SIGUSR1' });

  t.regex(await refused('n1', genuine), /was seen before/);
  t.regex(await refused('n2', genuine), /it is for node n1, this is n2/);
  // An agent that was started anew has forgotten what it saw; the command names the start that it was meant for.
  await killService(cluster(), 'n1', 'agent');
  await cluster().untilReady();
  t.deepEqual(await queue('n1', genuine), { taken: true });
  await cluster().output('login', signal, { user: 'alice' });
  await job.untilPrinted(/signal 2/, 2);
  t.deepEqual(job.lines(/signal [3-9]/), []);
});

test('who has no certificate of the cluster gets nothing from an agent', async (t) => {
  const [node = ''] = cluster().nodes;
  const { address } = cluster().testbed.node(node);
  for (const how of ['plain', 'anonymous', 'stranger']) {
    const { end, bytes } = await attack<{ end: string; bytes: number }>('login', 'knock', [address, '7461', how], {
      user: 'alice',
    });
    t.is(bytes, 0, how);
    t.not(end, 'still open', how);
  }
});

test('a node has no more rights over another than an order of the controller gives it', async (t) => {
  const job = await submitRun(cluster(), '/opt/rankshift-tests/bin/pingpong --seconds 600 --pause-us 1000');
  await job.untilPrinted(/progress/);
  const { address } = cluster().testbed.node('n1');
  const order = await recorded('n1', 'launch');
  for (const [frame, wanted] of [
    [{ op: 'output', container: job.container(0) }, /output is for the controller/],
    [{ op: 'switch', envelope: order }, /command refused|has no order/],
    [{ op: 'repoint', envelope: order }, /command refused|has no order/],
    [{ op: 'pages', migration: '1' }, /./],
    [{ op: 'shell', command: 'id' }, /./],
  ] as const) {
    const answer = await attack<unknown>('n2', 'open-as-node', ['n1', address, JSON.stringify(frame)]);
    const text = JSON.stringify(answer);
    t.regex(text, /"code":"E_/, text);
    t.regex(text, wanted, text);
  }
  await stillRuns(job);
  t.deepEqual(await job.finish(), endedVerified, job.all);
});

test('Redis wants its password, and users cannot read it or any key', async (t) => {
  const ping = await cluster().exec('login', ['redis-cli', '-h', 'ctl', 'ping'], { user: 'alice' });
  t.regex(`${ping.stdout}${ping.stderr}`, /NOAUTH/);
  const guess = await cluster().exec('login', ['redis-cli', '-h', 'ctl', '-a', 'secret', 'keys', '*'], {
    user: 'alice',
  });
  t.regex(`${guess.stdout}${guess.stderr}`, /WRONGPASS|NOAUTH/);
  t.notRegex(guess.stdout, /rs:/);
  for (const node of ['ctl', 'login', ...cluster().nodes]) {
    const secret = await cluster().output(
      node,
      ['/bin/sh', '-c', 'for file in /etc/rankshift/keys/*; do [ -r "$file" ] && basename "$file"; done; true'],
      { user: 'alice' },
    );
    t.deepEqual(secret.split('\n').filter(Boolean), ['ca.pem'], node);
  }
  // The private key that commands are signed with is where commands are made, and nowhere else.
  for (const node of ['login', ...cluster().nodes]) {
    t.not((await cluster().exec(node, ['test', '-e', '/etc/rankshift/keys/command.key'])).exitCode, 0, node);
  }
});

test('the controller takes a munge credential once, and for the request that it was made for', async (t) => {
  const answers = await attack('login', 'use-credential', [], { user: 'alice' });
  t.deepEqual(answers, {
    absent: { status: 401, code: 'E_BAD_CREDENTIAL' },
    genuine: { status: 200, code: '' },
    usedBefore: { status: 401, code: 'E_BAD_CREDENTIAL' },
    forAnother: { status: 401, code: 'E_BAD_CREDENTIAL' },
  });
});
