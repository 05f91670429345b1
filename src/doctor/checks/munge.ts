import { RankshiftError } from '../../errors.ts';
import { mungeDecode, mungeEncode } from '../../slurm/munge.ts';
import { install } from '../distribution.ts';
import { type Check, everyRole, missing, ok } from '../finding.ts';

export const munge: Check = {
  name: 'munge',
  roles: everyRole,
  examine: async ({ distribution }) => {
    try {
      const { payload, uid } = await mungeDecode(await mungeEncode('rankshift doctor'));
      if (payload !== 'rankshift doctor') throw new RankshiftError('E_BAD_CREDENTIAL', 'the payload came back changed');
      return [ok('munge', `a credential of user ${uid} was made and read`)];
    } catch (cause) {
      const { code, message } = RankshiftError.from(cause);
      const get = install(distribution, { debian: 'munge', rhel: 'munge' });
      const remedy =
        code === 'E_MISSING' ? `${get}; copy /etc/munge/munge.key from another node` : 'systemctl restart munge';
      return [missing('munge', message, remedy)];
    }
  },
};
