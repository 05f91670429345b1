import { criuSelfTest } from '../../checkpoint/self-test.ts';
import { install } from '../distribution.ts';
import { type Check, missing, ok, warning } from '../finding.ts';

/**
 * `criu check` passes on kernels on which every dump fails, so the doctor dumps and restores a process with an
 * established TCP connection.
 */
export const criu: Check = {
  name: 'criu',
  roles: ['agent'],
  examine: async ({ config, root, distribution }) => {
    const get = `${install(distribution, { debian: 'criu', rhel: 'criu' })}   or set CriuPath in ${config.file}`;
    if (!root) return [warning('criu', 'not tested without root', 'sudo rankshift doctor')];
    const { ok: works, version, lines, leavesOut } = await criuSelfTest(config.criuPath, { binDir: config.binDir });
    if (works && !leavesOut)
      return [warning('criu', `${version}; works, but: ${lines[0] ?? ''}`, withLibrary(config.criuPath))];
    if (works) return [ok('criu', `${version}; dumped and restored a process with a TCP connection`)];
    if (version === '') return [missing('criu', lines.join(' | '), get)];
    const newer = 'Kernels 6.16 and later need CRIU 4.2 or later: install one beside the distribution, set CriuPath.';
    return [missing('criu', `${version} failed its self-test: ${lines.join(' | ')}`, newer)];
  },
};

const withLibrary = (criuPath: string) =>
  `A freeze takes 50 to 75 ms per GiB more without it. Let ${criuPath} be criu itself, or a script that ends with exec .../criu "$@" and keeps LD_PRELOAD.`;
