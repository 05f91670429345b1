import { RankshiftError } from '../errors.ts';
import { run } from '../process/run.ts';

export interface Account {
  name: string;
  home: string;
  groups: number[];
}

/**
 * Name, home and groups of a user id, from the name service of the management node (getent, id).
 * @throws RankshiftError E_BAD_INPUT where the user is not known here.
 */
export async function accountOf(uid: number, gid: number): Promise<Account> {
  const { stdout, exitCode } = await run('getent', ['passwd', String(uid)], { allow: 'any' });
  const [name, , , , , home] = stdout.trim().split(':');
  if (exitCode !== 0 || name === undefined || home === undefined) {
    throw new RankshiftError('E_BAD_INPUT', `user ${uid} is not known on the management node`);
  }
  const { stdout: groups } = await run('id', ['-G', '--', name]);
  const numbers = groups.trim().split(/\s+/).map(Number);
  return { name, home, groups: numbers.filter((group) => group !== gid && Number.isInteger(group)) };
}

/** Names change seldom, and each request asks for one. */
const nameMs = 60_000;
const names = new Map<number, { name: string; until: number }>();

/** The name of a user id, or the number itself; a name may be a minute old. */
export async function userName(uid: number): Promise<string> {
  const known = names.get(uid);
  if (known !== undefined && performance.now() < known.until) return known.name;
  const { stdout, exitCode } = await run('getent', ['passwd', String(uid)], { allow: 'any' });
  const [name] = stdout.split(':');
  if (exitCode !== 0 || name === undefined) return String(uid);
  names.set(uid, { name, until: performance.now() + nameMs });
  return name;
}
