import { execa } from 'execa';
import { RankshiftError } from '../errors.ts';
import { patiently } from '../patience.ts';

/** What ran, how long, and how it ended; the log of every external command. */
export interface RunResult {
  argv: string[];
  exitCode: number;
  stdout: string;
  stderr: string;
  ms: number;
}

export interface RunOptions {
  /** Milliseconds until SIGKILL. Every command has a deadline. @defaultValue 30000 */
  timeoutMs?: number;
  signal?: AbortSignal;
  input?: string | Uint8Array;
  cwd?: string;
  env?: Record<string, string>;
  /** Run it as another user, with no further groups; only root may. */
  uid?: number;
  gid?: number;
  /** Accept these exit codes besides 0; 'any' accepts all. */
  allow?: readonly number[] | 'any';
  /** Let it run on when this process dies, without our pipes: for CRIU, which must never be broken off. */
  outlive?: boolean;
  /** Called once per finished command, also for failed ones. */
  log?: (result: RunResult) => void;
}

/**
 * Runs one external command. The only way in which Rankshift starts runc, criu, ip, nft, scontrol and the like:
 * an argv array, never a shell string; a deadline; a log line.
 * @throws RankshiftError E_MISSING where the program is absent, E_TIMEOUT at the deadline, E_COMMAND on a bad exit.
 */
export async function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const {
    timeoutMs = patiently(30_000),
    signal,
    input,
    cwd,
    env,
    uid,
    gid,
    allow = [],
    log,
    outlive = false,
  } = options;
  const started = performance.now();
  const result = await execa(file, [...args], {
    reject: false,
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    stripFinalNewline: false,
    extendEnv: true,
    ...(outlive ? { cleanup: false, detached: true, stdout: 'ignore' as const, stderr: 'ignore' as const } : {}),
    ...(signal === undefined ? {} : { cancelSignal: signal }),
    ...(input === undefined ? { stdin: 'ignore' as const } : { input }),
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env }),
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  });
  const done: RunResult = {
    argv: [file, ...args],
    exitCode: result.exitCode ?? -1,
    stdout: result.stdout ?? '',
    stderr: result.stderr ?? '',
    ms: performance.now() - started,
  };
  log?.(done);
  if (result.code === 'ENOENT') throw new RankshiftError('E_MISSING', `${file} is not installed`);
  if (result.timedOut) throw new RankshiftError('E_TIMEOUT', `${file} did not end within ${timeoutMs} ms`);
  const accepted = done.exitCode === 0 || allow === 'any' || allow.includes(done.exitCode);
  if (!accepted) {
    const lines = lastLines(done.stderr.length > 0 ? done.stderr : done.stdout, 5);
    throw new RankshiftError('E_COMMAND', `${[file, ...args].join(' ')}: ${describe(result)}: ${lines.join(' | ')}`, {
      lines,
    });
  }
  return done;
}

function describe(result: { exitCode?: number; signal?: string }): string {
  return result.signal === undefined ? `exit ${result.exitCode ?? 'unknown'}` : `killed by ${result.signal}`;
}

/** The last n non-empty lines of a text. */
export function lastLines(text: string, n: number): string[] {
  return text
    .split('\n')
    .filter((line) => line.trim().length > 0)
    .slice(-n);
}
