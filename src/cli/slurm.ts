import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { Command, Option } from 'commander';
import { ApiClient } from '../api/client.ts';
import { type Config, loadConfig } from '../config.ts';
import { guessRole, nodeName } from '../doctor/role.ts';
import { exitCode, RankshiftError } from '../errors.ts';
import { groupRecordSchema } from '../migration/group.ts';
import {
  type InstallPlan,
  nodeEvents,
  type PlannedFile,
  planInstall,
  setKey,
  withoutOurs,
} from '../slurm/install-plan.ts';
import { clearTrigger, setTrigger, triggersSet } from '../slurm/triggers.ts';
import { exitOf, follow } from './evacuate.ts';

interface InstallOptions {
  role?: 'controller' | 'agent';
  dir: string;
  slurmConf: string;
  rebootProgram?: string;
  healthCheck?: true;
  yes?: true;
}

const roleOption = () =>
  new Option('--role <role>', 'what this host is (default: guessed)').choices(['controller', 'agent']);

/** `rankshift slurm ...`: what an administrator installs into Slurm, and what Slurm then calls. */
export function slurmCommand(): Command {
  const command = new Command('slurm').description('triggers, RebootProgram and HealthCheckProgram of Slurm');
  command
    .command('install')
    .description('let Slurm empty nodes that are drained, fail or are to reboot; shows first what it would write')
    .addOption(roleOption())
    .option('--dir <path>', 'where the programs go', '/etc/slurm/rankshift')
    .option('--slurm-conf <file>', 'slurm.conf', '/etc/slurm/slurm.conf')
    .option('--reboot-program <file>', 'what reboots a node where slurm.conf names none')
    .option('--health-check', 'install the HealthCheckProgram too')
    .option('--yes', 'do not ask')
    .action(install);
  command
    .command('uninstall')
    .description('take out what install wrote')
    .addOption(roleOption())
    .option('--dir <path>', 'where the programs are', '/etc/slurm/rankshift')
    .option('--slurm-conf <file>', 'slurm.conf', '/etc/slurm/slurm.conf')
    .option('--yes', 'do not ask')
    .action(uninstall);
  command
    .command('event')
    .description('tell the controller that the state of nodes changed; for the trigger programs')
    .argument('<event>', nodeEvents.join(', '))
    .argument('<nodes>', 'host list')
    .action(async (event: string, nodes: string) => {
      await new ApiClient(loadConfig()).post('/v1/node-events', { event, nodes });
    });
  command
    .command('wait-empty')
    .description('empty this node and wait until no rank container is left on it; for the RebootProgram')
    .action(waitEmpty);
  return command;
}

async function install(options: InstallOptions): Promise<void> {
  const config = loadConfig();
  const role = options.role ?? guessRole(config);
  if (role === 'login')
    throw new RankshiftError('E_USAGE', 'this is neither the management node nor a compute node (--role)');
  const plan = planInstall({
    ...{
      dir: options.dir,
      node: process.execPath,
      main: join(import.meta.dirname, `main${import.meta.filename.slice(-3)}`),
    },
    slurmConf: { path: options.slurmConf, text: read(options.slurmConf) },
    rankshiftConf: role === 'controller' ? { path: config.file, text: read(config.file) } : null,
    ...{ reboot: options.rebootProgram ?? null, health: options.healthCheck === true },
    ...{ stateDir: config.stateDir, runDir: config.runDir },
    templates: { trigger: template('trigger'), reboot: template('reboot'), health: template('health') },
  });
  const files = plan.files.filter(({ path, content }) => !existsSync(path) || readFileSync(path, 'utf8') !== content);
  const set = plan.triggers.size === 0 ? new Map<string, string>() : await triggersSet(config.slurmUser);
  const triggers: InstallPlan['triggers'] = new Map([...plan.triggers].filter(([, program]) => !set.has(program)));
  if (files.length === 0 && triggers.size === 0) {
    console.log('all is installed already');
    return;
  }
  for (const file of files) console.log(describe(file));
  for (const [event, program] of triggers) {
    console.log(`strigger --set --node --${event} --flags=perm --program=${program}  (as ${config.slurmUser})`);
  }
  if (!(await agreed(options))) return;
  for (const file of files) write(file);
  for (const [event, program] of triggers) await setTrigger(config.slurmUser, event, program);
  console.log(
    role === 'controller'
      ? 'installed. Now: the same on each compute node, then scontrol reconfigure, and systemctl restart rankshift-controller'
      : 'installed. Now, when all nodes have it: scontrol reconfigure',
  );
}

async function uninstall(options: InstallOptions): Promise<void> {
  const config = loadConfig();
  const role = options.role ?? guessRole(config);
  const text = read(options.slurmConf);
  const files: PlannedFile[] = [{ path: options.slurmConf, mode: 0o644, content: withoutOurs(text) }].filter(
    ({ content }) => content !== text,
  );
  const set = role === 'controller' ? await triggersSet(config.slurmUser) : new Map<string, string>();
  const ours = [...set].filter(([program]) => dirname(program) === options.dir);
  if (role === 'controller') {
    const conf = read(config.file);
    if (config.evacuateOnDrain)
      files.push({ path: config.file, mode: 0o644, content: setKey(conf, 'EvacuateOnDrain', 'no') });
  }
  if (files.length === 0 && ours.length === 0 && !existsSync(options.dir)) {
    console.log('nothing is installed');
    return;
  }
  for (const file of files) console.log(describe(file));
  for (const [program, id] of ours) console.log(`strigger --clear --id=${id}  (${program})`);
  console.log(`remove ${options.dir}`);
  if (!(await agreed(options))) return;
  for (const [, id] of ours) await clearTrigger(config.slurmUser, id);
  for (const file of files) write(file);
  rmSync(options.dir, { recursive: true, force: true });
  console.log(
    'taken out. Now: scontrol reconfigure' +
      (role === 'controller' ? ', and systemctl restart rankshift-controller' : ''),
  );
}

async function waitEmpty(): Promise<void> {
  const config = loadConfig();
  if (isEmpty(config)) return;
  const node = nodeName(config);
  const api = new ApiClient(config);
  const body = { nodes: node, reason: `${node} is to reboot`, origin: 'reboot' };
  const { groups } = await api.post('/v1/evacuations', body);
  for (const { group } of groups as { group: unknown }[]) {
    const ended = await follow(api, groupRecordSchema.parse(group), (line) => console.error(line));
    process.exitCode = exitOf(ended);
  }
  for (let tries = 0; tries < 100 && !isEmpty(config); tries += 1)
    await new Promise((resolve) => setTimeout(resolve, 100));
  process.exitCode = isEmpty(config) ? exitCode.done : exitCode.refused;
}

/** What lies on this node itself counts, not what anybody says. */
function isEmpty(config: Config): boolean {
  const directory = join(config.stateDir, 'containers');
  return !existsSync(directory) || readdirSync(directory).length === 0;
}

function template(name: string): string {
  return read(join(import.meta.dirname, '..', '..', 'slurm', 'triggers', `${name}.sh`));
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new RankshiftError('E_CONFIG', `cannot read ${path}: ${(cause as Error).message}`, {
      action: 'Name the file (--slurm-conf), and run it as root on the host where it lies.',
      cause,
    });
  }
}

/** The new lines of a file that is there, the path alone of one that is new. */
function describe({ path, content }: PlannedFile): string {
  if (!existsSync(path)) return `write ${path} (${content.split('\n').length - 1} lines, executable)`;
  const before = readFileSync(path, 'utf8').split('\n');
  const after = content.split('\n');
  const gone = before.filter((line) => !after.includes(line)).map((line) => `  - ${line}`);
  const come = after.filter((line) => !before.includes(line)).map((line) => `  + ${line}`);
  return [`change ${path}`, ...gone, ...come].join('\n');
}

/** Whole or not at all. */
function write({ path, mode, content }: PlannedFile): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, content, { mode });
  renameSync(`${path}.new`, path);
}

async function agreed({ yes }: InstallOptions): Promise<boolean> {
  if (yes === true) return true;
  if (!process.stdin.isTTY) {
    console.log('nothing was written: say --yes to do it');
    return false;
  }
  const prompt = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await prompt.question('Do it? [y/N] ');
  prompt.close();
  return /^y(es)?$/i.test(answer.trim());
}
