import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { type Check, type DoctorContext, type Finding, missing, ok, warning } from '../finding.ts';

export const kernel: Check = {
  name: 'kernel',
  roles: ['agent'],
  examine: async (context) => [kernelVersion(context), timeNamespaces(), cgroup2(), overlayfs(), liveCopy()],
};

/** True where `running` (6.1.0-28-amd64) is `wanted` (5.6) or later. */
export function isAtLeast(running: string, wanted: string): boolean {
  const [a = 0, b = 0] = running.split(/[.-]/).map((part) => Number.parseInt(part, 10));
  const [c = 0, d = 0] = wanted.split('.').map(Number);
  return a > c || (a === c && b >= d);
}

function kernelVersion({ distribution }: DoctorContext): Finding {
  const running = release();
  if (isAtLeast(running, '5.6')) return ok('kernel', running);
  const newer =
    distribution === 'rhel'
      ? 'Use RHEL 9 or later.'
      : 'apt install linux-image-amd64 (of Debian 11 or later), then reboot';
  return missing('kernel', `${running}; 5.6 or later is needed (time namespaces)`, newer);
}

function timeNamespaces(): Finding {
  if (existsSync('/proc/self/ns/time')) return ok('time namespaces', 'yes');
  const remedy = 'Use a kernel built with CONFIG_TIME_NS=y; without it MPI_Wtime of a moved rank jumps.';
  return missing('time namespaces', 'the kernel has none', remedy);
}

/** Where cgroup2 is mounted, from mountinfo(5). */
export function cgroup2Mounts(mountinfo: string): string[] {
  return [...mountinfo.matchAll(/^\S+ \S+ \S+ \S+ (\S+) .* - cgroup2 /gm)].map(([, mount]) => mount ?? '');
}

function cgroup2(): Finding {
  const [mount] = cgroup2Mounts(readFileSync('/proc/self/mountinfo', 'utf8'));
  if (mount === undefined) {
    const remedy = 'mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified   or boot with systemd.unified_cgroup_hierarchy=1';
    return missing('cgroup2', 'it is mounted nowhere', remedy);
  }
  const children = readdirSync(mount, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const freezer =
    existsSync(join(mount, 'cgroup.freeze')) ||
    children.some(({ name }) => existsSync(join(mount, name, 'cgroup.freeze')));
  // The root of the hierarchy has no cgroup.freeze: a hierarchy without any group says nothing, 5.2 has the freezer.
  if (freezer || (children.length === 0 && isAtLeast(release(), '5.2'))) return ok('cgroup2', `${mount}, with freezer`);
  return missing('cgroup2', `${mount} has no freezer`, 'Use a kernel 5.2 or later.');
}

function overlayfs(): Finding {
  if (/\toverlay$/m.test(readFileSync('/proc/filesystems', 'utf8'))) return ok('overlayfs', 'yes');
  return missing(
    'overlayfs',
    'the kernel does not know it',
    'modprobe overlay; echo overlay > /etc/modules-load.d/rankshift.conf',
  );
}

/** Of use to strategies that copy memory while the ranks run; stop-and-copy does without. */
function liveCopy(): Finding {
  if (isAtLeast(release(), '6.7')) return ok('dirty page scan', 'PAGEMAP_SCAN with asynchronous write protection');
  return warning(
    'dirty page scan',
    'none (kernel before 6.7): only stop-and-copy is possible',
    'Optional: a kernel 6.7 or later.',
  );
}
