import { join } from 'node:path';
import { probeSoftDirty } from '../../checkpoint/soft-dirty.ts';
import { probePages } from '../../pages/probe-pages.ts';
import { type Check, ok, warning } from '../finding.ts';

/** Without it moves work, but ranks stand while their memory is copied. */
export const lazyMemory: Check = {
  name: 'lazy memory',
  roles: ['agent'],
  examine: async ({ config, root }) => {
    if (!config.lazyMemory) return [warning('lazy memory', 'LazyMemory=no', `remove that line from ${config.file}`)];
    if (!root) return [warning('lazy memory', 'not tested without root', 'sudo rankshift doctor')];
    const { ok: works, reason } = await probePages(join(config.binDir, 'rankshift-pages'));
    if (works) return [ok('lazy memory', 'writes can be tracked and memory filled in lazily: live pre-copy works')];
    if (await probeSoftDirty(config.criuPath)) {
      return [ok('lazy memory', `CRIU copies in rounds (soft-dirty), as our tracker does not work here: ${reason}`)];
    }
    return [
      warning(
        'lazy memory',
        `downtime grows with memory here: ${reason}`,
        'Linux 6.7 or newer with CONFIG_USERFAULTFD, or one with CONFIG_MEM_SOFT_DIRTY',
      ),
    ];
  },
};
