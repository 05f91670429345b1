import { RankshiftError } from '../errors.ts';
import type { MungeIdentity } from '../slurm/munge.ts';

/** Stands in for munged: credentials are `uid:serial:payload`, each good once. */
export function fakeMunge(uid = 1000) {
  const used = new Set<string>();
  let serial = 0;
  return {
    encode: async (payload: string): Promise<string> => `${uid}:${serial++}:${payload}`,
    decode: async (credential: string): Promise<MungeIdentity> => {
      if (used.has(credential)) throw new RankshiftError('E_BAD_CREDENTIAL', 'the credential was used before');
      used.add(credential);
      const [who = '', , payload = ''] = credential.split(':');
      return { uid: Number(who), gid: 100, payload, encodedAt: 0 };
    },
  };
}
