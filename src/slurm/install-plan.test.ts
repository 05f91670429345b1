import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { type InstallFacts, nodeEvents, planInstall, setKey, withoutOurs } from './install-plan.ts';

const template = (name: string) =>
  readFileSync(join(import.meta.dirname, '..', '..', 'slurm', 'triggers', `${name}.sh`), 'utf8');
const conf = 'ClusterName=lab\nRebootProgram = /usr/sbin/reboot\nNodeName=n[1-3]\n';
const facts: InstallFacts = {
  ...{ dir: '/etc/slurm/rankshift', node: '/usr/bin/node', main: '/opt/rankshift/dist/cli/main.js' },
  slurmConf: { path: '/etc/slurm/slurm.conf', text: conf },
  rankshiftConf: { path: '/etc/rankshift/rankshift.conf', text: '# text\n#EvacuateOnDrain=no\nLogLevel=info\n' },
  ...{ reboot: null, health: true, stateDir: '/var/lib/rankshift', runDir: '/run/rankshift' },
  templates: { trigger: template('trigger'), reboot: template('reboot'), health: template('health') },
};
const contentOf = (plan: ReturnType<typeof planInstall>, path: string) =>
  plan.files.find((file) => file.path === path)?.content ?? '';

test('what is installed names the programs of the site, and taking it out gives the file as it was', (t) => {
  const plan = planInstall(facts);
  const text = contentOf(plan, '/etc/slurm/slurm.conf');
  t.regex(text, /^#rankshift# RebootProgram = \/usr\/sbin\/reboot$/m);
  t.regex(
    text,
    /^RebootProgram=\/etc\/slurm\/rankshift\/reboot\nHealthCheckProgram=.*\nHealthCheckInterval=60\n# END/m,
  );
  t.is(withoutOurs(text), conf);
  t.regex(contentOf(plan, '/etc/slurm/rankshift/reboot'), /^reboot=\/usr\/sbin\/reboot$/m);
  t.deepEqual([...plan.triggers.keys()], [...nodeEvents]);
  t.regex(contentOf(plan, '/etc/rankshift/rankshift.conf'), /^EvacuateOnDrain=yes\nLogLevel=info$/m);
  for (const { content } of plan.files) t.notRegex(content, /@[A-Z]+@/);
});

test('an interval of the site stays, but for one that means never', (t) => {
  const intervals = (own: string) => {
    const text = `${conf}HealthCheckInterval=${own}\n`;
    const planned = contentOf(
      planInstall({ ...facts, slurmConf: { ...facts.slurmConf, text } }),
      '/etc/slurm/slurm.conf',
    );
    return planned.split('\n').filter((line) => line.startsWith('HealthCheckInterval'));
  };
  t.deepEqual(intervals('300'), ['HealthCheckInterval=300']);
  t.deepEqual(intervals('0'), ['HealthCheckInterval=60']);
});

test('installed twice it is the same, and nothing is chained to itself', (t) => {
  const first = planInstall(facts);
  const again = planInstall({
    ...facts,
    slurmConf: { ...facts.slurmConf, text: contentOf(first, '/etc/slurm/slurm.conf') },
  });
  t.deepEqual(again.files, first.files);
});

test('a compute node gets no triggers, and no RebootProgram where nobody named one', (t) => {
  const plan = planInstall({ ...facts, rankshiftConf: null, slurmConf: { path: '/c', text: 'A=b' }, health: false });
  t.deepEqual(plan.files, [{ path: '/c', mode: 0o644, content: 'A=b' }]);
  t.is(plan.triggers.size, 0);
  t.is(setKey('X=1', 'Y', '2'), 'X=1\nY=2\n');
  t.is(setKey('Y = 1\n', 'Y', '2'), 'Y=2\n');
});
