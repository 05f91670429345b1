import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../process/run.ts';
import { freePort } from '../process/testing/free-port.ts';

/** The builds that every test of the C programs goes through: the shipped one, and one under ASan and UBSan. */
export const builds = ['bin', 'sanitize'] as const;
export type Build = (typeof builds)[number];

/** Secret of the containers in the tests. */
export const secret = '0123456789abcdef0123456789abcdef';

/** Builds the C programs of both kinds where they are older than their sources. */
export async function buildPrograms(): Promise<void> {
  await run('scripts/build-c', [], { timeoutMs: 120_000 });
  await run('scripts/build-c', ['--sanitize'], { timeoutMs: 120_000 });
}

export function program(build: Build, name: string): string {
  return join(process.cwd(), 'build', build, name);
}

/** Descriptor that every program of the tests inherits. */
const leaked = openSync('/dev/zero', 'r');

/** How a program ended and what it wrote. */
export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  ms: number;
}

export interface StartOptions {
  argv0?: string;
  env?: Record<string, string>;
  input?: string;
  /** Leaves stdin open for the test to write to. */
  keepInput?: boolean;
}

/** Starts a program; `ended` resolves once it has ended and closed its output. */
export function start(file: string, args: readonly string[], options: StartOptions = {}) {
  const started = performance.now();
  const child: ChildProcess = spawn(file, [...args], {
    argv0: options.argv0 ?? file,
    env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=0', ...options.env },
    // A fourth descriptor, as a careless parent leaks it: no program of ours may keep it.
    stdio: ['pipe', 'pipe', 'pipe', leaked],
  });
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  if (options.keepInput !== true) child.stdin?.end(options.input);
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr, ms: performance.now() - started }));
  });
  return { child, ended };
}

/** Polls until the condition holds. @throws Error after timeoutMs. */
export async function until(condition: () => boolean, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${condition}`);
    await sleep(10);
  }
}

/** Pids of the children of a process, as the kernel lists them; zombies included. */
export function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

/** A directory that goes away with the test. */
export function temporaryDirectory(t: { teardown(release: () => void): void }): string {
  const directory = mkdtempSync(join(tmpdir(), 'rankshift-init-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A PID 1 in a PID namespace of its own that serves on loopback, and its remote shell. */
export interface Container {
  directory: string;
  port: number;
  /** Pid of PID 1 as the test sees it. */
  pid: number;
  ended: Promise<Ended>;
  file(name: string): string;
  read(name: string): string;
  rsh(words: readonly string[], env?: Record<string, string>): ReturnType<typeof start>;
}

/** Starts PID 1 with files `out`, `err`, `exit` in a temporary directory. `unshare` ends with PID 1 and takes it along. */
export async function startContainer(
  t: { teardown(release: () => void): void },
  build: Build,
  argv: readonly string[] = [],
): Promise<Container> {
  const directory = temporaryDirectory(t);
  const file = (name: string) => join(directory, name);
  const port = await freePort();
  writeFileSync(file('secret'), `${secret}\n`, { mode: 0o600 });
  const options = ['--address', '127.0.0.1', '--port', `${port}`, '--secret-file', file('secret'), '--cwd', directory];
  const files = ['--stdout', file('out'), '--stderr', file('err'), '--exit-file', file('exit')];
  const init = program(build, 'rankshift-init');
  const unshare = start('unshare', ['--pid', '--fork', '--kill-child', init, ...options, ...files, ...argv]);
  t.teardown(() => unshare.child.kill('SIGKILL'));
  const parent = unshare.child.pid;
  if (parent === undefined) throw new Error('unshare did not start');
  let pid = 0;
  await until(() => {
    pid = childrenOf(parent)[0] ?? 0;
    return pid !== 0 && readFileSync(`/proc/${pid}/net/tcp`, 'utf8').includes(listening(port));
  });
  return {
    directory,
    port,
    pid,
    ended: unshare.ended,
    file,
    read: (name) => readFileSync(file(name), 'utf8'),
    rsh: (words, env = {}) =>
      start(init, words, {
        argv0: '/.rankshift/rsh',
        env: { RANKSHIFT_RSH_PORT: `${port}`, RANKSHIFT_SECRET_FILE: file('secret'), ...env },
      }),
  };
}

/** As in /proc/net/tcp: local address, any remote, state LISTEN. */
function listening(port: number): string {
  return `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A`;
}
