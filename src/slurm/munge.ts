import { RankshiftError } from '../errors.ts';
import { patiently } from '../patience.ts';
import { run } from '../process/run.ts';

export interface MungeOptions {
  /** Socket of munged. @defaultValue munge's own */
  socket?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** Who made a credential, as munged vouches for it. */
export interface MungeIdentity {
  uid: number;
  gid: number;
  payload: string;
  /** Milliseconds since 1970, on the clock of the host that made it; whole seconds. */
  encodedAt: number;
}

/** Exit codes of munge and unmunge that mean something to us (munge.h, munge_err_t). */
const status = { socket: 6, expired: 15, rewound: 16, replayed: 17, unauthorized: 18 } as const;

/** Munge answers at once or not at all; a hanging munged must not hold a request. */
const timeoutMs = patiently(5000);

/**
 * Has munged sign a text in the name of the user who runs this process.
 * @throws RankshiftError E_MISSING without munge, E_SERVICE where munged does not answer, E_BAD_CREDENTIAL otherwise.
 */
export async function mungeEncode(payload: string, options: MungeOptions = {}): Promise<string> {
  const { exitCode, stdout, stderr } = await munge('munge', [], payload, options);
  if (exitCode === status.socket) throw unanswered(stderr);
  if (exitCode !== 0) throw bad(`munge could not make a credential: ${reason(stderr)}`);
  return stdout.trim();
}

/**
 * Has munged check a credential, once: munged remembers it and refuses it the second time (munged(8)).
 * @throws RankshiftError E_BAD_CREDENTIAL saying whether it is expired, from the future, replayed, for somebody else or
 * not genuine; E_SERVICE where munged does not answer; E_MISSING.
 */
export async function mungeDecode(credential: string, options: MungeOptions = {}): Promise<MungeIdentity> {
  const args = ['--numeric', '--keys=STATUS,UID,GID,ENCODE_TIME'];
  const { exitCode, stdout, stderr } = await munge('unmunge', args, credential, options);
  // For an expired or replayed credential unmunge prints its content all the same: look at nothing but the exit code.
  if (exitCode === status.socket) throw unanswered(stderr);
  if (exitCode === status.expired) throw bad('the credential has expired');
  if (exitCode === status.rewound) throw bad('the credential was made in the future');
  if (exitCode === status.replayed) throw bad('the credential was used before');
  if (exitCode === status.unauthorized) throw bad('the credential is meant for somebody else');
  if (exitCode !== 0) throw bad(`the credential is not genuine: ${reason(stderr)}`);
  return parseDecoded(stdout);
}

/** Reads what `unmunge --numeric` prints: `KEY: value` lines, an empty line, the payload as it was. */
export function parseDecoded(text: string): MungeIdentity {
  const border = text.indexOf('\n\n');
  const head = text.slice(0, border === -1 ? text.length : border);
  const values = new Map(
    head.split('\n').map((line) => [line.split(':', 1)[0] ?? '', line.replace(/^[A-Z_]+:\s*/, '')]),
  );
  const number = (key: string): number => {
    const value = values.get(key) ?? '';
    if (!/^\d+$/.test(value)) throw bad(`unmunge printed no ${key}`);
    return Number(value);
  };
  if (border === -1 || number('STATUS') !== 0) throw bad('unmunge printed no good status');
  const payload = text.slice(border + 2);
  return { uid: number('UID'), gid: number('GID'), encodedAt: number('ENCODE_TIME') * 1000, payload };
}

function munge(file: string, args: string[], input: string, { socket, signal }: MungeOptions) {
  const all = socket === undefined ? args : [...args, `--socket=${socket}`];
  return run(file, all, { input, allow: 'any', timeoutMs, ...(signal === undefined ? {} : { signal }) });
}

function reason(stderr: string): string {
  return stderr.replace(/^(un)?munge: Error: /, '').trim();
}

function bad(message: string): RankshiftError {
  return new RankshiftError('E_BAD_CREDENTIAL', message);
}

function unanswered(stderr: string): RankshiftError {
  return new RankshiftError('E_SERVICE', `munged does not answer: ${reason(stderr)}`, {
    action: 'Start munged on this node: systemctl start munge',
    retryable: true,
  });
}
