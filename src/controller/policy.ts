import { RankshiftError } from '../errors.ts';
import { decidePolicy, type Policy } from '../migration/policy.ts';
import type { Rule, Subject } from '../migration/policy-file.ts';
import { type Terms, termsOf } from '../migration/policy-terms.ts';
import { readWishes, type WishText, wishesOfComment, wishesOfScript } from '../migration/policy-wishes.ts';
import type { MigrationRequest } from '../migration/record.ts';
import { batchScript } from '../slurm/batch-script.ts';
import { type JobFacts, jobFacts } from '../slurm/facts.ts';
import { type RunRecord, readRun } from '../store/runs.ts';
import { type Caller, requireOwner } from './authorize.ts';
import type { ControllerContext } from './context.ts';
import { describeError } from './policy-files.ts';

/** Slack for a clock of a login node that is behind. */
const pastMs = 60_000;

export interface JobPolicy {
  subject: Subject;
  policy: Policy;
}

export function subjectOf({ partition, account, user, name }: JobFacts): Subject {
  return { partition, account, user, jobName: name };
}

/** What the user of a job asked for beside it: comment, then script, then options of `rankshift run`; the later counts. */
export async function wishesOfJob(
  { config }: Pick<ControllerContext, 'config'>,
  facts: JobFacts,
  options: readonly string[] = [],
): Promise<WishText[]> {
  const script = await batchScript(config, facts.job);
  const given = options.map((text) => ({ text, where: 'option of rankshift run' }));
  return [...wishesOfComment(facts.comment), ...wishesOfScript(script), ...given];
}

/** The policy for a job that runs under us, out of what was known at its start: no question to Slurm. */
export async function policyOfJob(context: ControllerContext, job: number): Promise<JobPolicy> {
  const run = await readRun(context.redis, job);
  const rules = context.policy.rules();
  const last = run === null ? undefined : decided.get(run);
  if (last?.rules === rules) return last.made;
  const subject = run?.subject ?? { partition: '', account: '', user: run?.user ?? '', jobName: '' };
  const made = { subject, policy: decidePolicy(rules, subject, readWishes(run?.wishes ?? []).wishes) };
  if (run !== null) decided.set(run, { rules, made });
  return made;
}

/** Of a run, what came of these rules. */
const decided = new WeakMap<RunRecord, { rules: readonly Rule[]; made: JobPolicy }>();

/** What of its user's wishes was not granted. A policy that cannot be read is no reason not to start. */
export async function wishNotes(context: ControllerContext, job: number): Promise<string[]> {
  try {
    return (await policyOfJob(context, job)).policy.notes;
  } catch (error) {
    context.log.warn({ job, error: (error as Error).message }, 'policy');
    return [];
  }
}

/** The terms of one move now. With `overridePolicy` there are none but its own. */
export async function termsOfMove(context: ControllerContext, job: number, request: MigrationRequest): Promise<Terms> {
  const policy =
    request.overridePolicy === true ? decidePolicy([], noSubject) : (await policyOfJob(context, job)).policy;
  return termsOf(policy, request, Date.now(), Temporal.Now.timeZoneId());
}
const noSubject: Subject = { partition: '', account: '', user: '', jobName: '' };

/**
 * The terms of a move that is asked for.
 * @throws RankshiftError E_NOT_PERMITTED, E_BAD_INPUT for a time that is over, E_REFUSED where the policy forbids it.
 */
export async function requireTerms(
  context: ControllerContext,
  caller: Caller,
  job: number,
  request: MigrationRequest,
): Promise<Terms> {
  if (request.overridePolicy === true && !caller.admin)
    throw new RankshiftError('E_NOT_PERMITTED', '--override-policy is for administrators');
  if (request.notBefore !== undefined && request.notBefore < Date.now() - pastMs)
    throw new RankshiftError('E_BAD_INPUT', `--not-before ${new Date(request.notBefore).toISOString()} is in the past`);
  return termsOfMove(context, job, request);
}

/** What `rankshift policy check` shows: files as they are now, what is in force, and what it makes of a job. */
export async function checkPolicy(context: ControllerContext, caller: Caller, job: number | null) {
  await context.policy.refresh();
  const state = { directory: context.config.policyDir, errors: context.policy.errors.map(describeError) };
  if (job === null) return { ...state, rules: context.policy.rules().length, job: null };
  const run = await readRun(context.redis, job);
  if (run !== null) {
    requireOwner(caller, run, `job ${job}`);
    const { subject, policy } = await policyOfJob(context, job);
    return { ...state, rules: context.policy.rules().length, job: shown(job, subject, policy, []) };
  }
  const facts = await jobFacts(context.config, job);
  requireOwner(caller, facts, `job ${job}`);
  const { wishes, errors } = readWishes(await wishesOfJob(context, facts));
  const policy = decidePolicy(context.policy.rules(), subjectOf(facts), wishes);
  return { ...state, rules: context.policy.rules().length, job: shown(job, subjectOf(facts), policy, errors) };
}

function shown(job: number, subject: Subject, policy: Policy, wishErrors: readonly string[]) {
  const request: MigrationRequest = { container: `${job}.0` };
  const { reasons, notBefore } = termsOf(policy, request, Date.now(), Temporal.Now.timeZoneId());
  return {
    job,
    subject,
    decisions: policy.decisions,
    notes: policy.notes,
    wishErrors,
    now: reasons.length > 0 ? reasons.map(({ message }) => message).join('; ') : (notBefore?.why ?? null),
    mayMove: reasons.length === 0,
  };
}
