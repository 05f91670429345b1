import type { Reason } from './record.ts';

const anotherTarget = 'name another target with --to, or none: one is chosen';
const inTheProgram =
  'the program has to let go of it, or be started without it: a checkpoint cannot carry it to another node';

/** code of a reason against a move -> what to do about it. */
const remedies: Record<string, (names: { source: string; target: string }) => string> = {
  'not-running': () => 'wait until the container runs: rankshift ps shows it',
  moving: () => 'wait until that move has ended: rankshift ps shows it',
  'source-agent-down': ({ source }) => `start the agent on ${source}: systemctl status rankshift-agent`,
  'source-unknown': ({ source }) => `read the log of the agent on ${source}: journalctl -u rankshift-agent`,
  'source-memory': ({ source }) => `free memory on ${source}: the image of the container is written there first`,
  'target-is-source': () => anotherTarget,
  'no-target': () => 'see which nodes are up, have memory and a CRIU that works: rankshift nodes',
  'slurm-silent': () => 'wait until slurmctld answers (scontrol ping), or name a target with --to',
  'target-not-in-slurm': () => anotherTarget,
  'target-not-available': ({ target }) =>
    `give the node back to Slurm (scontrol update NodeName=${target} State=RESUME), or ${anotherTarget}`,
  'target-allocation': ({ target }) =>
    `wait until Slurm has room on ${target} for the job (squeue -w ${target}), or ${anotherTarget}`,
  'target-leaving': ({ target }) =>
    `wait until ${target} is empty and back: rankshift show --groups; or ${anotherTarget}`,
  'target-agent-down': ({ target }) =>
    `start the agent on ${target} (systemctl status rankshift-agent), or ${anotherTarget}`,
  'target-criu': ({ target }) => `run rankshift doctor on ${target}, or ${anotherTarget}`,
  'target-memory': ({ target }) => `free memory on ${target}, or ${anotherTarget}`,
  'target-cpu': () => 'name a target with a CPU of the same kind, or none: one is chosen',
  'target-image': ({ source, target }) =>
    `import the image on ${target}, or anew on ${source}, which can send it then (rankshift image import), or ${anotherTarget}`,
  'target-image-store': ({ target }) => `remove images on ${target} (rankshift image rm), or ${anotherTarget}`,
  'max-downtime': () => 'allow more with --max-downtime, or go all the same with --force',
  'policy-downtime': () => 'ask an administrator to allow more: rankshift policy check JOB shows which line decides',
  'policy-never': () => 'ask whoever wrote the named line; an administrator can go all the same with --override-policy',
  'policy-strategy': () => 'leave --strategy to the service, or ask for one that is allowed',
  'policy-window': () => 'name another --window or --not-before, or none: rankshift policy check JOB shows the windows',
  verify: () =>
    'leave --verify out; --strategy pre-copy and stop-and-copy can be verified between kernels of 6.7 and newer',
  'no-pre-copy': () => 'leave --strategy to the service, or ask for stop-and-copy',
  'no-post-copy': () => 'leave --strategy to the service: pre-copy leaves nothing behind on the source',
  'no-hybrid': () => 'leave --strategy to the service: pre-copy leaves nothing behind on the source',
  link: ({ source, target }) => `check the network and the agents between ${source} and ${target}: rankshift doctor`,
  'rdma-device': () => 'run the job over TCP: memory that a network card knows cannot be carried to another node',
  'host-file': () => 'keep files in the home directory, the work directory or another of the SharedPaths',
  traced: () => 'end the debugger or tracer that is attached',
};

/** What a person can do about the reasons against a move, one sentence; said once where several reasons want the same. */
export function remedyOf(reasons: readonly Reason[], source: string, target: string | null): string {
  const names = { source, target: target ?? 'the target' };
  const said = new Set(reasons.map(({ code }) => remedies[code]?.(names) ?? inTheProgram));
  const text = [...said].join('; ');
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
