import test from 'ava';
import { planNodes } from '../plan-nodes.ts';
import type { TestbedState } from '../state.ts';
import { cgroupConf, slurmConf } from './slurm-conf.ts';

const state: TestbedState = {
  version: 1,
  name: 'lab',
  stage: 'starting',
  subnet: '10.213.9',
  dataDir: '/none',
  cpusPerNode: 4,
  profile: 'plain',
  cgroups: [],
  nodes: planNodes('10.213.9', { nodes: 2, cpusPerNode: 4 }),
};

test('compute nodes are listed, the others are not', (t) => {
  const text = slurmConf(state, { prolog: false, epilog: false }, true);
  t.regex(text, /^NodeName=n2 NodeAddr=10\.213\.9\.12 CPUs=4 /m);
  t.notRegex(text, /NodeName=(ctl|login)/);
});

test('hooks are named only where there are any: Slurm drains a node whose prolog is missing', (t) => {
  t.notRegex(slurmConf(state, { prolog: false, epilog: false }, true), /^(Prolog|Epilog)=/m);
  t.regex(slurmConf(state, { prolog: true, epilog: true }, true), /^Prolog=.*\n.*^Epilog=/ms);
});

test("without v1 controllers Slurm's cgroup plugin is off", (t) => {
  t.regex(slurmConf(state, { prolog: false, epilog: false }, false), /^ProctrackType=proctrack\/linuxproc$/m);
  t.is(cgroupConf(false), 'CgroupPlugin=disabled\n');
});

test('the strict profile constrains what a job has, and the plain one does not', (t) => {
  const hooks = { prolog: true, epilog: true };
  t.regex(slurmConf({ ...state, profile: 'strict' }, hooks, true), /^PrologFlags=Alloc,Contain$/m);
  t.regex(cgroupConf(true, 'strict'), /^ConstrainCores=yes$/m);
  t.notRegex(slurmConf(state, hooks, true), /Contain|_Memory|affinity/);
  t.regex(cgroupConf(true, 'plain'), /^ConstrainCores=no$/m);
});
