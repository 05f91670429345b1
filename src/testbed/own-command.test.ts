import { join } from 'node:path';
import test from 'ava';
import { ownCommand } from './own-command.ts';
import { checkoutDir } from './paths.ts';

test('the command is given as it can be typed from there', (t) => {
  t.is(ownCommand(checkoutDir, '/nowhere'), './bin/rankshift');
  t.is(ownCommand('/', '/nowhere'), `.${join(checkoutDir, 'bin', 'rankshift')}`);
  t.is(ownCommand(join(checkoutDir, 'src'), '/nowhere'), join(checkoutDir, 'bin', 'rankshift'));
  t.is(ownCommand('/', `/nowhere:${join(checkoutDir, 'bin')}`), 'rankshift');
});
