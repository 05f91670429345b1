import { Command } from 'commander';
import { z } from 'zod';
import { ApiClient } from '../api/client.ts';
import { loadConfig } from '../config.ts';
import { exitCode, RankshiftError } from '../errors.ts';
import { settings } from '../migration/policy-settings.ts';
import { table } from './table.ts';

const decisionSchema = z.object({
  setting: z.enum(Object.keys(settings) as [keyof typeof settings]),
  value: z.string(),
  by: z.string(),
  because: z.string(),
  passedOver: z.array(z.string()),
});

const checkSchema = z.object({
  directory: z.string(),
  errors: z.array(z.string()),
  rules: z.number(),
  job: z
    .object({
      job: z.number(),
      subject: z.object({ partition: z.string(), account: z.string(), user: z.string(), jobName: z.string() }),
      decisions: z.array(decisionSchema),
      wishErrors: z.array(z.string()),
      now: z.string().nullable(),
      mayMove: z.boolean(),
    })
    .nullable(),
});
type Check = z.infer<typeof checkSchema>;

/** `rankshift policy check [JOB]` */
export function policyCommand(): Command {
  const check = new Command('check')
    .description(
      'what the policy makes of a job, and which line decided it; without a job: whether the files are right',
    )
    .argument('[job]', 'number of a Slurm job, running or pending')
    .option('--json', 'JSON, for programs')
    .addHelpText(
      'after',
      '\nExit code 0, 2 where a policy file has errors (the last policy that was right stays in force).',
    )
    .action(async (job: string | undefined, { json }: { json?: true }) => {
      if (job !== undefined && !/^[1-9]\d{0,9}$/.test(job))
        throw new RankshiftError('E_BAD_INPUT', `${job}: not the number of a job`);
      const answer = await new ApiClient(loadConfig()).get(`/v1/policy${job === undefined ? '' : `?job=${job}`}`);
      const policy = checkSchema.parse(answer.policy);
      console.log(json ? JSON.stringify({ version: 1, policy }) : describe(policy));
      if (policy.errors.length > 0) process.exitCode = exitCode.usage;
    });
  return new Command('policy')
    .description('policies of this site: which jobs may be moved how, and when')
    .addCommand(check);
}

function describe({ directory, errors, rules, job }: Check): string {
  const broken = errors.map((error) => `error: ${error}`);
  const state =
    errors.length === 0
      ? `policy     ${rules} rule${rules === 1 ? '' : 's'} of ${directory}/*.conf`
      : `policy     ${rules} rule${rules === 1 ? '' : 's'} of before: ${directory} has errors, and the last policy that was right stays in force`;
  if (job === null) return [...broken, state].join('\n');
  const { partition, account, user, jobName } = job.subject;
  const rows = job.decisions.map(({ setting, value, by, because }) => [
    settings[setting].key,
    value,
    because === '' ? by : `${by}: ${because}`,
  ]);
  const over = job.decisions.flatMap(({ setting, passedOver }) =>
    passedOver.map((text) => `passed over for ${settings[setting].key}: ${text}`),
  );
  const verdict = job.mayMove
    ? job.now === null
      ? 'a move may begin now'
      : `a move waits for ${job.now}`
    : `no move: ${job.now}`;
  return [
    ...broken,
    state,
    `job        ${job.job}: Partition=${partition} Account=${account} User=${user} JobName=${jobName}`,
    '',
    table(['SETTING', 'VALUE', 'DECIDED BY'], rows),
    '',
    ...over,
    ...job.wishErrors.map((error) => `error: ${error}`),
    `now        ${verdict}`,
  ].join('\n');
}
