import { randomUUID } from 'node:crypto';
import { run } from '../process/run.ts';
import { program, start } from './testing.ts';

/** Two network namespaces joined by a veth, and both ends of a TCP connection between them (src/init/tcp-ends.c). */
export interface Ends {
  peerNamespace: string;
  movedNamespace: string;
  /** Sends one command to tcp-ends and returns its answer. */
  ask(command: string): Promise<string>;
  /** No packet passes to or from the moved end. */
  hold(): Promise<void>;
  release(): Promise<void>;
}

/** By its path: node_modules/.bin holds an unrelated program of that name, which ends with 0 whatever it is given. */
const nft = '/usr/sbin/nft';

const commands = [
  'add table ip hold',
  'add chain ip hold in { type filter hook prerouting priority -300; policy drop; }',
  'add chain ip hold out { type filter hook output priority -300; policy drop; }',
];

/** Makes the namespaces and the connection; they go away with the test. */
export async function connectedEnds(t: { teardown(release: () => Promise<void>): void }): Promise<Ends> {
  const unique = randomUUID().slice(0, 8);
  const names = ['p', 'm'].map((end) => `rs-test-${unique}-${end}`);
  const [peer = '', moved = ''] = names;
  t.teardown(async () => {
    for (const name of names) await run('ip', ['netns', 'del', name], { allow: 'any' });
  });
  for (const name of names) await run('ip', ['netns', 'add', name]);
  await run('ip', ['link', 'add', 'eth0', 'netns', peer, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', moved]);
  for (const [index, name] of names.entries()) {
    await run('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
    await run('ip', ['-n', name, 'addr', 'add', `10.201.0.${index + 1}/16`, 'dev', 'eth0']);
    await run('ip', ['-n', name, 'link', 'set', 'eth0', 'up']);
  }
  const paths = names.map((name) => `/run/netns/${name}`);
  const [peerNamespace = '', movedNamespace = ''] = paths;
  const argv = [peerNamespace, '10.201.0.1', movedNamespace, '10.201.0.2'];
  const { child, ended } = start(program('sanitize', 'tcp-ends'), argv, { keepInput: true });
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const ask = (command: string) =>
    new Promise<string>((resolve, reject) => {
      void ended.then(({ stderr }) => reject(new Error(`tcp-ends: ${stderr}`)));
      child.stdout?.once('data', (answer: string) => resolve(answer.trim()));
      child.stdin?.write(`${command}\n`);
    });
  await ask('echo');
  return {
    peerNamespace,
    movedNamespace,
    ask,
    hold: async () => {
      for (const command of commands) await run('ip', ['netns', 'exec', moved, nft, command]);
    },
    release: async () => {
      await run('ip', ['netns', 'exec', moved, nft, 'delete', 'table', 'ip', 'hold']);
    },
  };
}
