import { createInterface } from 'node:readline';
import type { Testbed } from '../testbed/index.ts';
import { driftAcross, parseDrift } from './drift.ts';
import { DemoUser, script, user } from './job.ts';
import { type Evidence, judge, makeReport, type Verdict } from './report.ts';
import { clockStory, phaseBars, switchStory } from './story.ts';
import type { Voice } from './voice.ts';

/** It is told to end when all was seen; on a slow machine that takes longer than on others. */
const longestSeconds = 300;
/** Rounds of the kernel that must be verified before the move: the job computes, and its clocks were compared. */
const roundsBefore = 4;
/** And after it: clocks are compared again. */
const roundsAfter = 4;
/** One rank in each container, so rank and container have the same number. Not 0, where mpirun is. */
const moved = 1;

export interface Outcome {
  report: ReturnType<typeof makeReport>;
  verdicts: Verdict[];
}

/** Plays the whole story on a testbed that is up, and gives what was measured. */
export async function showMove(testbed: Testbed, voice: Voice, stop: AbortSignal): Promise<Outcome> {
  const person = new DemoUser(testbed, stop);
  await person.untilServiceReady();

  voice.step('An ordinary user submits an MPI job: NPB CG, class A, three ranks, each in a container of its own node');
  voice.prompt(user, `cat ${script}`);
  const job = await person.submit(longestSeconds);
  voice.quote(await person.command(['cat', script]));
  voice.prompt(user, `sbatch ${script} ${longestSeconds}`);
  voice.quote(`Submitted batch job ${job}`);
  await person.until(180_000, 'the job did not start to compute', async () => {
    const rounds = countRounds(await person.output(job));
    voice.progress(`job ${job}: ${rounds} rounds computed`);
    return rounds > roundsBefore;
  });

  voice.step('It computes. Where are its containers?');
  const before = await person.containers(job);
  voice.prompt(user, 'rankshift ps');
  voice.quote(await person.command(['rankshift', 'ps']));

  voice.step(`Container ${job}.${moved} moves to another node, in the middle of the computation`);
  voice.prompt(user, `rankshift migrate ${job}.${moved} --wait`);
  await migrate(person, `${job}.${moved}`, voice);
  const record = await person.lastMigration();
  if (record === undefined) throw new Error('the service has no record of the migration');
  const after = await person.containers(job);
  const runsOn = await person.runsOn(`${job}.${moved}`);
  voice.prompt(user, 'rankshift ps');
  voice.quote(await person.command(['rankshift', 'ps']));

  voice.step('What happened');
  voice.quote(`${phaseBars(record)}\n\nthe switch, from the moment of the freeze:\n${switchStory(record)}`);

  voice.step('The job computes on');
  const roundsThen = countRounds(await person.output(job));
  await person.until(180_000, 'the job did not compute on', async () => {
    const rounds = countRounds(await person.output(job));
    voice.progress(`job ${job}: ${rounds} rounds computed`);
    return rounds > roundsThen + roundsAfter;
  });
  voice.prompt(user, `scancel --batch --signal=USR1 ${job}`);
  await person.tellToEnd(job);
  const jobEnd = await person.untilEnd(job, 120_000);
  const output = await person.output(job);
  voice.prompt(user, `tail -n 1 demo-${job}.out`);
  voice.quote(output.trimEnd().split('\n').at(-1) ?? '');
  const frozenAtMs = record.result?.timeline.find(({ name }) => name === 'frozen')?.at;
  const drift = frozenAtMs === undefined ? null : driftAcross(parseDrift(output), moved, frozenAtMs);
  voice.say('');
  voice.quote(clockStory(record, moved, drift));

  const nodes = before.map(({ id, owner }) => ({
    container: id,
    before: owner,
    after: after.find((container) => container.id === id)?.owner ?? 'gone',
  }));
  const evidence: Evidence = { record, drift, job: jobEnd, nodes };
  const report = makeReport(evidence);
  return { report, verdicts: judge(report, moved, runsOn) };
}

/** Each round begins with a line `repeat N`. */
function countRounds(output: string): number {
  return [...output.matchAll(/^repeat \d+$/gm)].length;
}

/** The real command, its words as they come. Its exit code is not asked: the record says how the move ended. */
async function migrate(person: DemoUser, container: string, voice: Voice): Promise<void> {
  const child = person.testbed.spawn('login', ['rankshift', 'migrate', container, '--wait'], { user });
  const kill = () => void child.kill('SIGKILL');
  person.stop.addEventListener('abort', kill);
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => resolve());
  });
  for (const stream of [child.stdout, child.stderr]) {
    if (stream !== null) createInterface({ input: stream }).on('line', (line) => voice.quote(line));
  }
  try {
    await ended;
  } finally {
    person.stop.removeEventListener('abort', kill);
  }
  person.stop.throwIfAborted();
}
