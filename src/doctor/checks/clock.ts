import { existsSync } from 'node:fs';
import { run } from '../../process/run.ts';
import { install } from '../distribution.ts';
import { type Check, everyRole, ok, warning } from '../finding.ts';

const deadline = { timeoutMs: 10_000, allow: 'any' } as const;

/** munge refuses credentials that are minutes off, TLS refuses certificates that are not valid yet. */
export const clock: Check = {
  name: 'clock',
  roles: everyRole,
  examine: async ({ distribution }) => {
    const answer = (await fromSystemd()) ?? (await fromChrony());
    const remedy = `${install(distribution, { debian: 'chrony', rhel: 'chrony' })}; systemctl enable --now chronyd`;
    if (answer === true) return [ok('clock', 'synchronised')];
    if (answer === false) return [warning('clock', 'not synchronised', remedy)];
    return [warning('clock', 'nothing here says whether it is synchronised', remedy)];
  },
};

async function fromSystemd(): Promise<boolean | undefined> {
  if (existsSync('/run/systemd/timesync/synchronized')) return true;
  const args = ['show', '--property=NTPSynchronized', '--value'];
  const answer = await run('timedatectl', args, deadline).catch(() => undefined);
  if (answer === undefined || answer.exitCode !== 0) return undefined;
  // It reads the kernel's own flag (adjtimex(2), STA_UNSYNC), so it knows of every daemon.
  return answer.stdout.trim() === 'yes';
}

async function fromChrony(): Promise<boolean | undefined> {
  const answer = await run('chronyc', ['-n', 'tracking'], deadline).catch(() => undefined);
  if (answer === undefined || answer.exitCode !== 0) return undefined;
  return /^Leap status\s*:\s*Normal/m.test(answer.stdout);
}
