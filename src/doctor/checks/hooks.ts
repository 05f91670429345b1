import { accessSync, constants, existsSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { run } from '../../process/run.ts';
import { type Check, type Finding, missing, ok, warning } from '../finding.ts';

const hookFile = '50-rankshift.sh';

/** Without the epilog's note what a job left on a node is found only by the agent's own sweep. */
export const hooks: Check = {
  name: 'hooks',
  roles: ['agent'],
  examine: async ({ config }) => {
    const answer = await run(config.scontrolPath, ['show', 'config'], { timeoutMs: 15_000, allow: 'any' }).catch(
      () => undefined,
    );
    if (answer === undefined || answer.exitCode !== 0) {
      return [warning('hooks', 'Slurm does not tell its configuration here', 'See the line "slurm" above.')];
    }
    const settings = hookSettings(answer.stdout);
    const directory = dirname(settings.file ?? '/etc/slurm/slurm.conf');
    return [
      await installed('prolog', settings.prolog, directory),
      await installed('epilog', settings.epilog, directory),
      ...prologFlags(settings.flags),
    ];
  },
};

interface HookSettings {
  prolog: string[];
  epilog: string[];
  flags: string[];
  file?: string;
}

/** Reads `scontrol show config`: `Prolog = /etc/slurm/prolog.d/*`, since 24.11 `Prolog[0] = ...`. */
export function hookSettings(text: string): HookSettings {
  const values = (key: string) =>
    [...text.matchAll(new RegExp(`^${key}(?:\\[\\d+\\])?\\s*= (.*)$`, 'gm'))]
      .map(([, value]) => (value ?? '').trim())
      .filter((value) => value !== '' && value !== '(null)');
  const [file] = values('SLURM_CONF');
  return {
    prolog: values('Prolog'),
    epilog: values('Epilog'),
    flags: values('PrologFlags').flatMap((value) => value.split(',')),
    ...(file === undefined ? {} : { file }),
  };
}

async function installed(event: string, patterns: readonly string[], directory: string): Promise<Finding> {
  const key = event === 'prolog' ? 'Prolog' : 'Epilog';
  const target = join(directory, `${event}.d`, hookFile);
  const copy = `install -D -m 755 INSTALL/slurm/${event}.d/${hookFile} ${target}`;
  const remedy = `${copy}; ${key}=${dirname(target)}/* in slurm.conf; scontrol reconfigure`;
  const files: string[] = [];
  for (const pattern of patterns) {
    for await (const file of glob(isAbsolute(pattern) ? pattern : join(directory, pattern))) files.push(file);
  }
  const ours = files.find((file) => file.endsWith(`/${hookFile}`));
  if (ours === undefined) {
    const there = existsSync(target) ? `${target} lies there, but slurm.conf does not name it` : 'not installed';
    return missing(`${event} hook`, there, remedy);
  }
  try {
    accessSync(ours, constants.X_OK);
    return ok(`${event} hook`, ours);
  } catch {
    return missing(`${event} hook`, `${ours} is not executable`, `chmod 755 ${ours}`);
  }
}

function prologFlags(flags: readonly string[]): Finding[] {
  // Contain implies Alloc (slurm.conf(5)).
  if (flags.some((flag) => ['Alloc', 'Contain'].includes(flag))) return [];
  const detail = 'PrologFlags has no Alloc: the prolog runs only when the first step starts on a node';
  return [warning('prolog flags', detail, 'PrologFlags=Alloc in slurm.conf; scontrol reconfigure')];
}
