/** Events of Slurm's nodes that concern the containers on them; strigger's options have the same names. */
export const nodeEvents = ['draining', 'drained', 'down', 'fail', 'up', 'resume'] as const;
export type NodeEvent = (typeof nodeEvents)[number];

export interface InstallFacts {
  /** Where the programs go. */
  dir: string;
  /** Absolute paths of Node and of our command. */
  node: string;
  main: string;
  slurmConf: { path: string; text: string };
  /** Only of the controller's host. */
  rankshiftConf: { path: string; text: string } | null;
  /** What reboots a node where slurm.conf names nothing yet; null: leave rebooting to the site. */
  reboot: string | null;
  /** The health check is wanted. */
  health: boolean;
  stateDir: string;
  runDir: string;
  templates: { trigger: string; reboot: string; health: string };
}

export interface PlannedFile {
  path: string;
  mode: number;
  content: string;
}

export interface InstallPlan {
  files: PlannedFile[];
  /** Event -> program. */
  triggers: Map<NodeEvent, string>;
}

const begin = '# BEGIN rankshift (rankshift slurm uninstall takes it out)';
const end = '# END rankshift';
const kept = '#rankshift# ';
/** Longest wait of a reboot for the containers to leave. */
const rebootSeconds = 3600;

/** All that an installation writes: files with their whole new content, and triggers. Changes nothing. */
export function planInstall(facts: InstallFacts): InstallPlan {
  const { dir, templates } = facts;
  const fill = (text: string, more: Record<string, string> = {}) =>
    Object.entries({ NODE: facts.node, MAIN: facts.main, ...more }).reduce(
      (filled, [name, value]) => filled.replaceAll(`@${name}@`, value),
      text,
    );
  const plain = withoutOurs(facts.slurmConf.text);
  const reboot = settingOf(plain, 'RebootProgram') ?? facts.reboot;
  const files: PlannedFile[] = [];
  const settings: [string, string][] = [];
  if (reboot !== null) {
    const content = fill(templates.reboot, { REBOOT: reboot, SECONDS: String(rebootSeconds) });
    files.push({ path: `${dir}/reboot`, mode: 0o755, content });
    settings.push(['RebootProgram', `${dir}/reboot`]);
  }
  if (facts.health) {
    const agent = `/usr/bin/test -e ${facts.runDir}/agent.pid -a -d "/proc/$(/bin/cat ${facts.runDir}/agent.pid 2>/dev/null)"`;
    const systemd = '/usr/bin/systemctl --quiet is-active rankshift-agent';
    const more = {
      ...{ SITE: settingOf(plain, 'HealthCheckProgram') ?? '', STATEDIR: facts.stateDir, RUNDIR: facts.runDir },
      AGENT: `{ if [ -d /run/systemd/system ]; then ${systemd}; else ${agent}; fi; }`,
    };
    files.push({ path: `${dir}/health`, mode: 0o755, content: fill(templates.health, more) });
    settings.push(['HealthCheckProgram', `${dir}/health`]);
    // 0 is Slurm's word for never.
    if (Number(settingOf(plain, 'HealthCheckInterval') ?? 0) === 0) settings.push(['HealthCheckInterval', '60']);
  }
  files.push({ path: facts.slurmConf.path, mode: 0o644, content: withOurs(plain, settings) });
  const triggers = new Map<NodeEvent, string>();
  if (facts.rankshiftConf !== null) {
    for (const event of nodeEvents) {
      const path = `${dir}/trigger-${event}`;
      files.push({ path, mode: 0o755, content: fill(templates.trigger) });
      triggers.set(event, path);
    }
    const { path, text } = facts.rankshiftConf;
    files.push({ path, mode: 0o644, content: setKey(text, 'EvacuateOnDrain', 'yes') });
  }
  return { files, triggers };
}

/** The text of a slurm.conf as it was before. */
export function withoutOurs(text: string): string {
  const from = text.indexOf(begin);
  const to = text.indexOf(end, from);
  const plain = from < 0 || to < 0 ? text : text.slice(0, from) + text.slice(to + end.length).replace(/^\n/, '');
  return plain.replaceAll(new RegExp(`^${kept}`, 'gm'), '');
}

function withOurs(plain: string, settings: readonly [string, string][]): string {
  if (settings.length === 0) return plain;
  const names = settings.map(([name]) => name).join('|');
  const commented = plain.replaceAll(new RegExp(`^(?=[ \\t]*(?:${names})[ \\t]*=)`, 'gim'), kept);
  const block = [begin, ...settings.map(([name, value]) => `${name}=${value}`), end];
  return `${commented}${commented.endsWith('\n') || commented === '' ? '' : '\n'}${block.join('\n')}\n`;
}

function settingOf(text: string, name: string): string | null {
  return new RegExp(`^[ \\t]*${name}[ \\t]*=[ \\t]*(\\S+)`, 'im').exec(text)?.[1] ?? null;
}

/** Sets a key of rankshift.conf in the place where it stands, commented or not, else at the end. */
export function setKey(text: string, key: string, value: string): string {
  const line = `${key}=${value}`;
  const set = new RegExp(`^${key}[ \\t]*=.*$`, 'm');
  if (set.test(text)) return text.replace(set, line);
  const commented = new RegExp(`^#${key}=.*$`, 'm');
  if (commented.test(text)) return text.replace(commented, line);
  return `${text}${text.endsWith('\n') || text === '' ? '' : '\n'}${line}\n`;
}
