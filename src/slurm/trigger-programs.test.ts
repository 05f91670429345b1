import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { run } from '../process/run.ts';

const scratch = mkdtempSync(join(tmpdir(), 'rankshift-triggers-'));
test.after.always(() => rmSync(scratch, { recursive: true }));
const source = join(import.meta.dirname, '..', '..', 'slurm', 'triggers');

/** A program as `rankshift slurm install` writes it, with a shell script in the place of Node and our command. */
function program(template: string, name: string, ours: string, more: Record<string, string> = {}): string {
  const main = join(scratch, `${name}.main`);
  writeFileSync(main, ours);
  const values = { NODE: '/bin/sh', MAIN: main, SECONDS: '20', ...more };
  const text = Object.entries(values).reduce(
    (filled, [key, value]) => filled.replaceAll(`@${key}@`, value),
    readFileSync(join(source, `${template}.sh`), 'utf8').replaceAll('/usr/bin/logger', '/bin/cat #'),
  );
  const path = join(scratch, name);
  writeFileSync(path, text);
  chmodSync(path, 0o755);
  return path;
}

/** As Slurm runs it: nothing in the environment. */
const start = (path: string, ...args: string[]) => run('/usr/bin/env', ['-i', path, ...args], { allow: 'any' });

test('a trigger program ends at once with 0 whatever ours does, and hands event and nodes on', async (t) => {
  const out = join(scratch, 'out');
  const ended = join(scratch, 'ended');
  // Ours goes on only when the program of the trigger has ended.
  const ours = `for i in $(seq 200); do [ -e ${ended} ] && echo "$@" >${out}.new && mv ${out}.new ${out} && break; sleep 0.1; done; exit 5\n`;
  t.is((await start(program('trigger', 'trigger-draining', ours), 'n[2-3]')).exitCode, 0);
  writeFileSync(ended, '');
  for (let tries = 0; tries < 200 && !existsSync(out); tries += 1)
    await new Promise((resolve) => setTimeout(resolve, 50));
  t.is(readFileSync(out, 'utf8'), 'slurm event draining n[2-3]\n');
});

test('a trigger program that gets no host list does nothing', async (t) => {
  const out = join(scratch, 'never');
  const path = program('trigger', 'trigger-up', `echo >${out}\n`);
  for (const args of [[], [''], ['$(id)'], ['n1; id']]) t.is((await start(path, ...args)).exitCode, 0);
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.false(existsSync(out));
});

test('the RebootProgram reboots an empty node, and no other', async (t) => {
  const rebooted = join(scratch, 'rebooted');
  const reboot = join(scratch, 'reboot-site');
  writeFileSync(reboot, `#!/bin/sh\necho "$@" >${rebooted}\n`);
  chmodSync(reboot, 0o755);
  const more = { REBOOT: reboot };
  t.is((await start(program('reboot', 'reboot-full', 'exit 3\n', more), 'x')).exitCode, 1);
  t.false(existsSync(rebooted));
  t.is((await start(program('reboot', 'reboot-empty', 'exit 0\n', more), 'x')).exitCode, 0);
  t.is(readFileSync(rebooted, 'utf8'), 'x\n');
});
