import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { RankshiftError } from '../errors.ts';

const fullCode = 3;
const notEmptyCode = 4;

export interface UpperTargetOptions {
  /** The program rankshift-upper. */
  program: string;
  /** An empty directory, and one beside it that does not exist yet, on the same file system. */
  directory: string;
  stage: string;
  /** Called after each pass, when all of it is in the directory. */
  onPass: () => void;
}

/**
 * Takes what an UpperSource sends into a directory. The stream that is returned finishes when the copy is whole. What
 * lies in the directory is the container user's: no name or link of it leads outside (docs/upper.md).
 * The stream fails with E_TARGET_FULL; E_BUSY where the directory holds something; E_LINK where what comes is cut short
 * or not acceptable.
 */
export function upperTarget({ program, directory, stage, onPass }: UpperTargetOptions): Writable {
  const child = spawn(program, ['target', directory, stage], { stdio: 'pipe' });
  const { stdin, stdout, stderr } = child;
  const messages = text(stderr).catch((error: Error) => error.message);
  createInterface({ input: stdout }).on('line', onPass);
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', (cause) => reject(new RankshiftError('E_MISSING', `${program} cannot be started`, { cause })));
    child.once('close', async (code) => {
      if (code === 0) return resolve();
      const message = `upper directory: ${(await messages).trim() || 'it cannot be written'}`;
      const known = code === fullCode ? 'E_TARGET_FULL' : code === notEmptyCode ? 'E_BUSY' : 'E_LINK';
      reject(new RankshiftError(known, message));
    });
  });
  ended.catch(() => undefined);
  stdin.on('error', () => undefined);
  return new Writable({
    highWaterMark: 1_048_576,
    write: (chunk, _encoding, done) => {
      // A pipe that breaks says less than the program's own last words.
      stdin.write(chunk, (error) => (error == null ? done() : void ended.then(() => done(error), done)));
    },
    final: (done) => {
      stdin.end();
      ended.then(() => done(), done);
    },
    destroy: (error, done) => {
      child.kill('SIGKILL');
      done(error);
    },
  });
}
