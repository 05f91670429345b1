import { Command, Option } from 'commander';
import { examine } from '../doctor/examine.ts';
import type { Finding, Role } from '../doctor/finding.ts';
import { exitCode } from '../errors.ts';

interface DoctorOptions {
  role?: Role;
  config?: string;
  json: boolean;
}

const words = { ok: 'ok', warning: 'warning', missing: 'MISSING' } as const;

/** `rankshift doctor` */
export function doctorCommand(): Command {
  return new Command('doctor')
    .description('say what this node lacks for Rankshift, and how to get it')
    .addOption(
      new Option('--role <role>', 'what the node is for (default: guessed)').choices(['controller', 'agent', 'login']),
    )
    .option('--config <file>', 'another configuration file')
    .option('--json', 'for programs', false)
    .addHelpText('after', '\nExit code 0 if nothing is missing, 3 otherwise; warnings do not count.')
    .action(async ({ role, config, json }: DoctorOptions) => {
      const options = { ...(role === undefined ? {} : { role }), ...(config === undefined ? {} : { file: config }) };
      const result = await examine(options, json ? undefined : (finding) => console.log(formatFinding(finding)));
      const count = (status: Finding['status']) => result.findings.filter((one) => one.status === status).length;
      if (json) console.log(JSON.stringify({ version: 1, ...result }));
      else {
        const sums = `${count('ok')} ok, ${plural(count('warning'), 'warning')}, ${count('missing')} missing`;
        console.log(`\n${result.node} as ${result.role} (see --role): ${sums}.`);
      }
      process.exitCode = count('missing') === 0 ? exitCode.done : exitCode.refused;
    });
}

/** A row as soon as it is known, its remedy below it; the columns are fixed because later rows are not known yet. */
export function formatFinding({ check, status, detail, remedy }: Finding): string {
  const row = `${words[status].padEnd(8)} ${check.padEnd(18)} ${detail.replace(/\s*\n\s*/g, ' | ')}`;
  return remedy === undefined ? row : `${row}\n${' '.repeat(27)} -> ${remedy}`;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

if (import.meta.main) await new Command().addCommand(doctorCommand(), { isDefault: true }).parseAsync();
