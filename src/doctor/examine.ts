import { type Config, defaultConfigFile, loadConfig, parseConfig } from '../config.ts';
import { RankshiftError } from '../errors.ts';
import { checks } from './checks/index.ts';
import { readDistribution } from './distribution.ts';
import { type Check, type DoctorContext, type Finding, missing, ok, type Role } from './finding.ts';
import { guessRole, nodeName } from './role.ts';

/** CRIU's self-test may take a minute on a busy node; nothing else comes near. */
const checkDeadlineMs = 90_000;

export interface Examination {
  role: Role;
  node: string;
  findings: Finding[];
}

/**
 * Looks for everything that Rankshift needs on this node. A broken configuration file is a finding; the rest is then
 * looked at with the defaults. Checks run one after another: some measure, and a shared node should not notice them.
 * @param onFinding called for each finding as it is known.
 */
export async function examine(
  options: { role?: Role; file?: string },
  onFinding: (finding: Finding) => void = () => undefined,
): Promise<Examination> {
  const { config, finding } = readConfig(options.file);
  const role = options.role ?? guessRole(config);
  const context: DoctorContext = {
    config,
    role,
    node: nodeName(config),
    root: process.getuid?.() === 0,
    distribution: readDistribution(),
  };
  const findings = [finding];
  onFinding(finding);
  for (const check of checks.filter(({ roles }) => roles.includes(role))) {
    for (const one of await examineOne(check, context)) {
      findings.push(one);
      onFinding(one);
    }
  }
  return { role, node: context.node, findings };
}

function readConfig(file?: string): { config: Config; finding: Finding } {
  try {
    const config = loadConfig(file);
    return { config, finding: ok('configuration', config.file) };
  } catch (cause) {
    const { message, action } = RankshiftError.from(cause);
    return {
      config: parseConfig('', file ?? process.env['RANKSHIFT_CONF'] ?? defaultConfigFile),
      finding: missing('configuration', message, action),
    };
  }
}

/** A check that fails or hangs is a finding, never the end of the examination. */
async function examineOne(check: Check, context: DoctorContext): Promise<Finding[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Finding[]>((resolve) => {
    const finding = missing(check.name, `no answer within ${checkDeadlineMs / 1000} s`, 'See what hangs on this node.');
    timer = setTimeout(resolve, checkDeadlineMs, [finding]);
  });
  try {
    return await Promise.race([check.examine(context), late]);
  } catch (cause) {
    const { message, action } = RankshiftError.from(cause);
    return [missing(check.name, message, action)];
  } finally {
    clearTimeout(timer);
  }
}
