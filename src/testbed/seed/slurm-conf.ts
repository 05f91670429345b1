import type { Profile, TestbedState } from '../state.ts';

export interface SlurmHooks {
  /** True where /etc/slurm/prolog.d and epilog.d have scripts. */
  prolog: boolean;
  epilog: boolean;
}

/**
 * slurm.conf of a testbed; every node has the same. `strict` is what sites run that hold jobs to what they asked for:
 * processors bound and constrained, a step of Slurm on every node of a job, memory handed out, batch jobs started when
 * the scheduler comes round, a log of finished jobs.
 */
export function slurmConf(state: TestbedState, hooks: SlurmHooks, onCgroupV1: boolean): string {
  const compute = state.nodes.filter(({ role }) => role === 'compute');
  const cpus = state.cpusPerNode;
  const strict = state.profile === 'strict';
  const lines = [
    `ClusterName=${state.name}`,
    'SlurmctldHost=ctl',
    'AuthType=auth/munge',
    'CredType=cred/munge',
    'SlurmUser=slurm',
    'SlurmdUser=root',
    'StateSaveLocation=/var/spool/slurmctld',
    'SlurmdSpoolDir=/var/spool/slurmd',
    'SlurmctldPidFile=/run/slurm/slurmctld.pid',
    'SlurmdPidFile=/run/slurm/slurmd.pid',
    // cgroup/v1 works on a machine with v1 controllers; Slurm's cgroup/v2 wants systemd.
    ...(onCgroupV1
      ? ['ProctrackType=proctrack/cgroup', `TaskPlugin=${strict ? 'task/affinity,' : ''}task/cgroup`]
      : ['ProctrackType=proctrack/linuxproc', 'TaskPlugin=task/none']),
    'JobAcctGatherType=jobacct_gather/none',
    'MpiDefault=none',
    'SelectType=select/cons_tres',
    `SelectTypeParameters=CR_Core${strict ? '_Memory' : ''}`,
    ...(strict
      ? [
          'DefMemPerCPU=200',
          'EnforcePartLimits=ALL',
          'JobCompType=jobcomp/filetxt',
          'JobCompLoc=/var/log/slurm/jobcomp',
        ]
      : ['SchedulerParameters=permit_job_expansion,batch_sched_delay=0']),
    // Nodes may claim more processors than the machine has.
    'SlurmdParameters=config_overrides',
    `PrologFlags=Alloc${strict ? ',Contain' : ''}`,
    ...(hooks.prolog ? ['Prolog=/etc/slurm/prolog.d/*'] : []),
    ...(hooks.epilog ? ['Epilog=/etc/slurm/epilog.d/*'] : []),
    'ReturnToService=2',
    'SlurmdTimeout=20',
    'KillWait=5',
    'MessageTimeout=10',
    ...compute.map(
      ({ name, address }) =>
        `NodeName=${name} NodeAddr=${address} CPUs=${cpus} Boards=1 SocketsPerBoard=1 CoresPerSocket=${cpus} ` +
        'ThreadsPerCore=1 RealMemory=2000 State=UNKNOWN',
    ),
    'PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP',
  ];
  return `${lines.join('\n')}\n`;
}

export function cgroupConf(onCgroupV1: boolean, profile: Profile = 'plain'): string {
  if (!onCgroupV1) return 'CgroupPlugin=disabled\n';
  return [
    'CgroupPlugin=cgroup/v1',
    'CgroupMountpoint=/run/cg1',
    `ConstrainCores=${profile === 'strict' ? 'yes' : 'no'}`,
    'ConstrainRAMSpace=no',
    'ConstrainDevices=no',
    '',
  ].join('\n');
}
