import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ended = /^[ZX]$/;
const mayExecute = /^[RD]$/;
const signalBits = 0x7f;
const sigkill = 9;
const exitingOrKilled = 0x4 | 0x400; // PF_EXITING, PF_SIGNALED (linux/sched.h)

/**
 * A thread of a cgroup or of those below it that may run instructions of its program, or null. `frozen 1` in
 * cgroup.events says that none may, but not the other way round: a killed cgroup is frozen no more as soon as the first
 * of its tasks has taken note of its SIGKILL, while the others stand where they stood, some not even signalled yet.
 */
export function whatRuns(group: string): string | null {
  const events = read(join(group, 'cgroup.events'));
  if (!/^populated 1$/m.test(events) || /^frozen 1$/m.test(events)) return null;
  return first(processes(group), (pid) => threadThatRuns(pid, group));
}

/** @param group with the `cgroup.freeze` that holds for the process. */
export function threadThatRuns(pid: string, group: string): string | null {
  const found = first(list(`/proc/${pid}/task`), (thread) => {
    const { state, flags, told } = stat(`/proc/${pid}/task/${thread}`);
    if (state === '' || ended.test(state) || (flags & exitingOrKilled) !== 0) return null;
    // One that sleeps in a group that is to be frozen comes to nothing but its freezer trap when it wakes.
    return !mayExecute.test(state) && read(join(group, 'cgroup.freeze')) === '1\n' ? null : told;
  });
  // That of all threads stands from the signal on; the signal itself is pending no more before PF_SIGNALED is set. It is
  // told of the process alone, and looked at last.
  return found === null || (stat(`/proc/${pid}`).exitCode & signalBits) === sigkill ? null : found;
}

/** Fields 3, 9 and 52 of proc_pid_stat(5), counted from behind the name, which may hold anything. */
function stat(directory: string): { state: string; flags: number; exitCode: number; told: string } {
  const text = read(join(directory, 'stat')).trim();
  const fields = text.replace(/^.*\) /s, '').split(' ');
  const told = text.replace(/^(.*\) .).*$/s, '$1');
  return { state: fields[0] ?? '', flags: Number(fields[6]), exitCode: Number(fields[49]), told };
}

function processes(group: string): string[] {
  const own = read(join(group, 'cgroup.procs')).split('\n').filter(Boolean);
  const below = list(group, 'directories').flatMap((name) => processes(join(group, name)));
  return [...own, ...below];
}

function first<T>(all: readonly T[], look: (one: T) => string | null): string | null {
  for (const one of all) {
    const found = look(one);
    if (found !== null) return found;
  }
  return null;
}

/** Names in a directory; none where it went away in between. */
export function list(directory: string, what: 'all' | 'directories' = 'all'): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => what === 'all' || entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}

/** Empty where the file went away in between. */
export function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
