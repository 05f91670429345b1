import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RankshiftError } from '../errors.ts';
import { patiently } from '../patience.ts';
import { run } from '../process/run.ts';

/** Outcome of the self-test; `lines` tell a person what failed, CRIU's own last error lines included. */
export interface SelfTestResult {
  ok: boolean;
  /** As `criu --version` says it; empty where it does not start. */
  version: string;
  lines: string[];
  /** It can be started with the library that keeps memory out of a dump (docs/pages.md); without it a freeze is longer. */
  leavesOut: boolean;
}

export interface SelfTestOptions {
  /** Directory of our static C programs. @defaultValue /usr/lib/rankshift */
  binDir?: string;
  /** Where the images go for its duration. @defaultValue the system's temporary directory */
  scratchDir?: string;
}

/** Longest life of the process under test; it ends by itself, should we be killed. */
const lifetimeS = patiently(60);
const stepDeadlineMs = patiently(20_000);
const nobody = 65_534;
/** The process writes a line every 100 ms. */
const progressDeadlineMs = patiently(3_000);

/**
 * Says whether CRIU works on the running kernel for what Rankshift needs: it dumps and restores a process with an
 * established TCP connection, and looks whether the connection carries data afterwards. `criu check` alone does not tell:
 * CRIU 4.1 passes it on Linux 6.16 and newer, and fails on every process with an internet socket.
 * The process belongs to another user, as ranks do. Needs root. Never throws for what CRIU does; leaves no process and no file.
 */
export async function criuSelfTest(criuPath = 'criu', options: SelfTestOptions = {}): Promise<SelfTestResult> {
  const { binDir = '/usr/lib/rankshift', scratchDir = tmpdir() } = options;
  const library = join(binDir, 'rankshift-leave-out.so');
  const result: SelfTestResult = { ok: false, version: '', lines: [], leavesOut: false };
  const scratch = mkdtempSync(join(scratchDir, 'rankshift-self-test-'));
  let running: number | undefined;
  try {
    result.version = await criuVersion(criuPath);
    result.leavesOut = await takesLibrary(criuPath, library, scratch);
    if (!result.leavesOut) result.lines.push(withoutLibrary(criuPath, library));
    chmodSync(scratch, 0o711);
    const output = join(scratch, 'output');
    running = await startPair(join(binDir, 'rankshift-tcp-pair'), output);
    await untilLongerThan(output, 0, 'the process under test does not run');

    const args = ['--tree', String(running)];
    try {
      await criu(criuPath, 'dump', scratch, args, { LD_PRELOAD: library });
    } catch (error) {
      // Without it, to say which of the two does not work; ok stays false, since every dump is made with it.
      await criu(criuPath, 'dump', scratch, args).catch(() => Promise.reject(error));
      running = undefined;
      result.lines.push(`CRIU dumps by itself, but not with ${library} loaded`);
      throw error;
    }
    running = undefined;
    const before = linesOf(output);
    running = await restore(criuPath, scratch);
    await untilLongerThan(output, before + 2, 'the restored connection carries no data');
    result.ok = true;
    result.lines.push('a process with an established TCP connection was dumped, restored, and went on');
  } catch (error) {
    const failure = RankshiftError.from(error);
    result.lines.push(failure.message, ...(failure.details.lines ?? []));
  } finally {
    if (running !== undefined) kill(running);
    rmSync(scratch, { recursive: true, force: true });
  }
  return result;
}

async function criuVersion(criuPath: string): Promise<string> {
  const { stdout } = await run(criuPath, ['--version'], { timeoutMs: stepDeadlineMs });
  return /Version:\s*(\S+)/.exec(stdout)?.[1] ?? stdout.trim();
}

/**
 * Whether the library comes to CRIU: not where CriuPath is a script that clears the environment or starts a program of
 * another name than criu..., nor where CRIU is static or has capabilities of its own (ld.so(8), "secure-execution mode").
 */
export async function takesLibrary(criuPath: string, library: string, scratch: string): Promise<boolean> {
  const seen = join(scratch, 'library-seen');
  const env = { LD_PRELOAD: library, RANKSHIFT_LEAVE_OUT_SEEN: seen };
  await run(criuPath, ['--version'], { timeoutMs: stepDeadlineMs, allow: 'any', env });
  return existsSync(seen);
}

function withoutLibrary(criuPath: string, library: string): string {
  return `${library} is not loaded into CRIU: is ${criuPath} a script that drops LD_PRELOAD, static, or of another name?`;
}

async function startPair(program: string, output: string): Promise<number> {
  // Ranks are not root's: with too few capabilities CRIU fails on other users' processes only.
  writeFileSync(output, '');
  chownSync(output, nobody, nobody);
  const child = spawn(program, [output, String(lifetimeS)], {
    detached: true,
    stdio: 'ignore',
    cwd: '/',
    uid: nobody,
    gid: nobody,
  });
  child.unref();
  try {
    await once(child, 'spawn');
  } catch (cause) {
    throw new RankshiftError('E_MISSING', `${program} cannot be started: ${(cause as Error).message}`, { cause });
  }
  if (child.pid === undefined) throw new RankshiftError('E_MISSING', `${program} cannot be started`);
  return child.pid;
}

async function restore(criuPath: string, scratch: string): Promise<number> {
  const pidFile = join(scratch, 'restored.pid');
  await criu(criuPath, 'restore', scratch, ['--restore-detached', '--pidfile', pidFile]);
  return Number(readFileSync(pidFile, 'utf8'));
}

/** Runs one CRIU action. @throws RankshiftError E_CRIU with the last error lines of its log. */
async function criu(
  criuPath: string,
  action: 'dump' | 'restore',
  scratch: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<void> {
  const images = join(scratch, 'images');
  const logFile = join(scratch, `${action}.log`);
  mkdirSync(images, { recursive: true });
  const common = [
    '--images-dir',
    images,
    '--work-dir',
    scratch,
    '--log-file',
    `${action}.log`,
    '-v4',
    '--tcp-established',
  ];
  const { exitCode } = await run(criuPath, [action, ...common, ...args], {
    timeoutMs: stepDeadlineMs,
    allow: 'any',
    env,
  });
  if (exitCode === 0) return;
  throw new RankshiftError('E_CRIU', `criu ${action} failed with exit ${exitCode}`, { lines: errorLines(logFile) });
}

function errorLines(logFile: string): string[] {
  try {
    const lines = readFileSync(logFile, 'utf8').split('\n');
    return lines.filter((line) => line.includes('Error')).slice(-5);
  } catch {
    return [];
  }
}

function linesOf(file: string): number {
  try {
    return readFileSync(file, 'utf8').split('\n').length - 1;
  } catch {
    return 0;
  }
}

async function untilLongerThan(file: string, lines: number, complaint: string): Promise<void> {
  const deadline = performance.now() + progressDeadlineMs;
  while (linesOf(file) <= lines) {
    if (performance.now() > deadline) throw new RankshiftError('E_CRIU', complaint);
    await sleep(20);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}

if (import.meta.main) {
  const result = await criuSelfTest(process.argv[2]);
  console.log(JSON.stringify(result));
  process.exitCode = result.ok ? 0 : 1;
}
