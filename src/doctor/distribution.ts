import { readFileSync } from 'node:fs';

/** Families whose package names we give. */
export type Distribution = 'debian' | 'rhel' | 'other';

/** Package names of one thing in both families. */
export interface Packages {
  debian: string;
  rhel: string;
}

/** Which family this node is of, from os-release(5). */
export function readDistribution(file = '/etc/os-release'): Distribution {
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    // No os-release: name both families.
  }
  const ids = [...text.matchAll(/^ID(?:_LIKE)?="?([^"\n]*)"?$/gm)].flatMap(([, value]) => (value ?? '').split(' '));
  if (ids.some((id) => ['debian', 'ubuntu'].includes(id))) return 'debian';
  return ids.some((id) => ['rhel', 'fedora', 'centos', 'rocky', 'almalinux'].includes(id)) ? 'rhel' : 'other';
}

/** The command that installs it here; both commands where the family is not known. */
export function install(distribution: Distribution, { debian, rhel }: Packages): string {
  const commands = { debian: `apt install ${debian}`, rhel: `dnf install ${rhel}` };
  return distribution === 'other' ? `${commands.debian}   or   ${commands.rhel}` : commands[distribution];
}
