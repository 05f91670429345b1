import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { RankshiftError } from '../../errors.ts';
import { run } from '../../process/run.ts';
import { install } from '../distribution.ts';
import { type Check, type DoctorContext, type Finding, missing, ok, warning } from '../finding.ts';
import { isAtLeast } from './kernel.ts';

/** Our C programs and libraries in BinDir. */
const ours = [
  'rankshift-init',
  'rankshift-node',
  'rankshift-bulk',
  'rankshift-pages',
  'rankshift-upper',
  'rankshift-tcp-pair',
  'rankshift-mpi.so',
  'rankshift-leave-out.so',
  'criu-path/tar',
];

export const programs: Check = {
  name: 'programs',
  roles: ['agent'],
  examine: async (context) => [await runc(context), ...ownPrograms(context), await hwloc(context)],
};

async function runc({ config, distribution }: DoctorContext): Promise<Finding> {
  const remedy = `${install(distribution, { debian: 'runc', rhel: 'runc' })}   or set RuncPath in ${config.file}`;
  try {
    const { stdout } = await run(config.runcPath, ['--version'], { timeoutMs: 10_000 });
    const version = /version (\S+)/.exec(stdout)?.[1] ?? '';
    // The oldest that was tried.
    return isAtLeast(version, '1.1')
      ? ok('runc', version)
      : missing('runc', `${version}; 1.1 or later is needed`, remedy);
  } catch (cause) {
    return missing('runc', RankshiftError.from(cause).message, remedy);
  }
}

function ownPrograms({ config }: DoctorContext): Finding[] {
  const absent = ours.filter((name) => {
    try {
      accessSync(join(config.binDir, name), constants.X_OK);
      return false;
    } catch {
      return true;
    }
  });
  if (absent.length === 0) return [ok('own programs', `in ${config.binDir}`)];
  const remedy = `ln -sfn INSTALL/build/bin ${config.binDir} (INSTALL: where Rankshift lies), or set BinDir`;
  return [missing('own programs', `${absent.join(', ')} not in ${config.binDir}`, remedy)];
}

async function hwloc({ distribution }: DoctorContext): Promise<Finding> {
  try {
    const { stdout } = await run('lstopo-no-graphics', ['--version'], { timeoutMs: 10_000 });
    return ok('hwloc', stdout.trim());
  } catch {
    const remedy = install(distribution, { debian: 'hwloc-nox', rhel: 'hwloc' });
    return warning('hwloc', 'not installed: a plan cannot compare the topology of nodes', remedy);
  }
}
