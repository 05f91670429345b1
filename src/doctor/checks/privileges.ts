import { readFileSync } from 'node:fs';
import { type Check, type Finding, missing, ok, warning } from '../finding.ts';

/** Bits of /proc/self/status, CapEff (capabilities(7)). */
const needed: Record<string, number> = { NET_ADMIN: 12, NET_RAW: 13, SYS_PTRACE: 19, SYS_ADMIN: 21 };
const sysResource = 24;

/** Pipes hold the pages of a lazy dump; without SYS_RESOURCE the kernel bounds them per user (pipe(7)). */
const pipeSysctls = 'sysctl -w fs.pipe-user-pages-soft=0 fs.pipe-max-size=1073741824';

export const privileges: Check = {
  name: 'privileges',
  roles: ['agent', 'controller'],
  examine: async ({ root, role }) => {
    if (!root) {
      return [missing('root', 'the doctor does not run as root; several checks need it', 'sudo rankshift doctor')];
    }
    return role === 'agent' ? [ok('root', 'yes'), ...capabilities()] : [ok('root', 'yes')];
  },
};

function capabilities(): Finding[] {
  const mask = BigInt(`0x${/^CapEff:\s+([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`);
  const has = (bit: number) => ((mask >> BigInt(bit)) & 1n) === 1n;
  const lacking = Object.keys(needed).filter((name) => !has(needed[name] ?? 0));
  const remedy = 'Run the agent on the node itself or in a privileged container, with all capabilities.';
  const base =
    lacking.length === 0
      ? ok('capabilities', 'of an agent')
      : missing('capabilities', `lacking: ${lacking.map((name) => `CAP_${name}`).join(' ')}`, remedy);
  if (has(sysResource)) return [base];
  const limited = readFileSync('/proc/sys/fs/pipe-user-pages-soft', 'utf8').trim() !== '0';
  const why = 'no CAP_SYS_RESOURCE, and pipes are limited: lazy pages of CRIU will fail';
  return limited ? [base, warning('pipes', why, pipeSysctls)] : [base, ok('pipes', 'not limited')];
}
