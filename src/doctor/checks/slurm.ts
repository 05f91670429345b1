import { RankshiftError } from '../../errors.ts';
import { run } from '../../process/run.ts';
import { nodeFacts } from '../../slurm/facts.ts';
import { install } from '../distribution.ts';
import { type Check, type DoctorContext, type Finding, missing, ok, warning } from '../finding.ts';
import { isAtLeast } from './kernel.ts';

/** `scontrol show ... --json` came with it. */
const leastRelease = '23.2';
const deadlineMs = 15_000;

export const slurm: Check = {
  name: 'slurm',
  roles: ['controller', 'agent', 'login'],
  examine: async (context) => {
    const { config, role, distribution } = context;
    let release: string;
    try {
      const { stdout } = await run(config.scontrolPath, ['--version'], { timeoutMs: deadlineMs });
      release = /(\d+\.\d+\S*)/.exec(stdout)?.[1] ?? '';
    } catch (cause) {
      const get = `${install(distribution, { debian: 'slurm-client', rhel: 'slurm' })}   or set ScontrolPath`;
      const { message } = RankshiftError.from(cause);
      return role === 'controller'
        ? [missing('slurm', message, get)]
        : [warning('slurm', `${message}: what Slurm knows cannot be checked from here`, get)];
    }
    if (!isAtLeast(release, leastRelease)) {
      return [missing('slurm', `release ${release}; 23.02 or later is needed`, 'Upgrade Slurm on this node.')];
    }
    return await reach(context, release);
  },
};

async function reach(context: DoctorContext, release: string): Promise<Finding[]> {
  try {
    const nodes = await nodeFacts(context.config, undefined, { timeoutMs: deadlineMs });
    const answered = ok('slurm', `release ${release}, ${nodes.length} nodes`);
    if (context.role !== 'agent') return [answered];
    const own = nodes.find(({ name }) => name === context.node);
    if (own !== undefined) return [answered, ok('node name', `${own.name} is ${own.state.join(', ')} in Slurm`)];
    const remedy = `Set NodeName in ${context.config.file} to the name that slurm.conf gives this node.`;
    return [answered, missing('node name', `Slurm knows no node ${context.node}`, remedy)];
  } catch (cause) {
    const { message } = RankshiftError.from(cause);
    return [missing('slurm', message, 'systemctl status slurmctld on the management node; scontrol ping here')];
  }
}
