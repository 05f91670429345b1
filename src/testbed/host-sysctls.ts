import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stateRoot } from './paths.ts';

/**
 * CRIU's lazy pages need large pipes, which a machine without CAP_SYS_RESOURCE limits; these two are no part of any
 * namespace, so they are set for the machine while a testbed runs.
 */
const wanted = { 'fs/pipe-user-pages-soft': '0', 'fs/pipe-max-size': '1073741824' };
const saved = () => join(stateRoot, '.sysctls.json');

/** Sets them, after saving what was there. Released by restoreHostSysctls. */
export function setHostSysctls(): void {
  if (!existsSync(saved())) {
    const before = Object.keys(wanted).map((key) => [key, readFileSync(join('/proc/sys', key), 'utf8').trim()]);
    writeFileSync(saved(), JSON.stringify(Object.fromEntries(before)));
  }
  for (const [key, value] of Object.entries(wanted)) writeFileSync(join('/proc/sys', key), value);
}

/** Puts back what was there before the first testbed; to be called when the last one is gone. */
export function restoreHostSysctls(): void {
  if (!existsSync(saved())) return;
  const before = JSON.parse(readFileSync(saved(), 'utf8')) as Record<string, string>;
  for (const [key, value] of Object.entries(before)) writeFileSync(join('/proc/sys', key), value);
  rmSync(saved());
}
