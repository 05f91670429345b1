import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RankshiftError } from '../errors.ts';
import { bringUp, listTestbeds, Testbed, takeDown } from '../testbed/index.ts';
import { withLock } from '../testbed/lock.ts';
import { ownCommand } from '../testbed/own-command.ts';
import { lockFile, testbedPaths } from '../testbed/paths.ts';
import { user } from './job.ts';
import { showMove } from './show-move.ts';
import { Voice } from './voice.ts';

/** The demo's own testbed: never mixed up with one that a person has started. */
const name = 'demo';
/** Three nodes for the job, one to move to. */
const nodes = 4;
const reportFile = 'demo-report.json';
/** A second Ctrl-C may hit a program that clears up: it is done again. */
const triesToClear = 5;

const command = ownCommand();
const keptFile = join(testbedPaths(name).dir, 'kept');

async function main(keep: boolean): Promise<number> {
  const voice = new Voice();
  const stop = stopOnSignals();
  rmSync(reportFile, { force: true });
  await removeLeftover(voice);
  let finished = false;
  try {
    voice.step(`A Slurm cluster starts on this machine: management node, login node, ${nodes} compute nodes`);
    const testbed = await bringUp({ name, nodes, progress: (line) => voice.quote(line) });
    stop.signal.throwIfAborted();
    const { report, verdicts } = await showMove(testbed, voice, stop.signal);
    writeFileSync(reportFile, `${JSON.stringify(report, null, 2)}\n`);
    voice.step(`Was everything right? (figures: ${reportFile})`);
    for (const { good, what } of verdicts) voice.verdict(good, what);
    finished = true;
    const good = verdicts.every((verdict) => verdict.good);
    if (!good) voice.quote(await lastLog());
    return good ? 0 : 1;
  } catch (error) {
    if (stop.signal.aborted) {
      voice.say('\ninterrupted');
      return 130;
    }
    finished = true;
    const known = RankshiftError.from(error);
    voice.say(`\ndemo: ${known.message}\n  ${known.action}`);
    voice.quote(await lastLog());
    return known.exitCode || 1;
  } finally {
    if (keep && finished && isUp()) await leaveUp(voice);
    else await clear(voice);
  }
}

function stopOnSignals(): AbortController {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort());
  return stop;
}

/** @throws RankshiftError E_BUSY where an earlier demo was told to leave its testbed up. */
async function removeLeftover(voice: Voice): Promise<void> {
  if (existsSync(keptFile)) {
    throw new RankshiftError('E_BUSY', 'an earlier demo was told to keep its cluster', {
      action: `Use it, or remove it with: ${command} testbed down --name ${name}`,
    });
  }
  if (!isUp()) return;
  voice.say(`what an earlier demo left (testbed ${name}) is removed`);
  await takeDown(name);
}

function isUp(): boolean {
  return listTestbeds().includes(name);
}

async function clear(voice: Voice): Promise<void> {
  for (let attempt = 1; isUp(); attempt++) {
    try {
      await takeDown(name);
      voice.say('\nthe cluster is gone, and nothing of it is left');
    } catch (error) {
      if (attempt < triesToClear) continue;
      voice.say(`\nnot removed: ${(error as Error).message}\n  Remove it with: ${command} testbed down --name ${name}`);
      return;
    }
  }
}

async function leaveUp(voice: Voice): Promise<void> {
  writeFileSync(keptFile, '');
  voice.step('The cluster stays up');
  voice.quote(
    [
      `log in as an ordinary user:   ${command} testbed exec --name ${name} --user ${user} login`,
      '  then, for example:          sbatch demo.sh 300',
      '                              rankshift ps',
      '                              rankshift migrate JOB.1 --wait      (also JOB.0, where mpirun runs)',
      '                              rankshift show',
      `log in as root on a node:     ${command} testbed exec --name ${name} n1`,
      `what the services say:        ${command} testbed logs --name ${name} ctl controller`,
      `remove it:                    ${command} testbed down --name ${name}`,
    ].join('\n'),
  );
}

/** The last words of the controller, for whoever wonders why it went wrong. */
async function lastLog(): Promise<string> {
  try {
    const { stdout } = await Testbed.open(name).exec('ctl', ['tail', '-n', '15', '/var/log/rankshift/controller.log']);
    return `last lines of the controller's log:\n${stdout}`;
  } catch {
    return '';
  }
}

try {
  const keep = process.argv.includes('--keep');
  process.exitCode = await withLock(lockFile('demo'), 0, () => main(keep));
} catch (error) {
  const { message, action, exitCode } = RankshiftError.from(error);
  console.error(`demo: ${message}\n  ${action}`);
  process.exitCode = exitCode;
}
// A read of the job's output may still hang on a node that is gone.
process.exit();
