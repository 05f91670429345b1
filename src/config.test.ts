import test from 'ava';
import { defaultConfigText, parseConfig } from './config.ts';

test('the default file, all commented, is a valid configuration', (t) => {
  const config = parseConfig(defaultConfigText({ ClusterName: 'spike' }), 'rankshift.conf');
  t.is(config.clusterName, 'spike');
  t.deepEqual(config.sharedPaths, ['/home']);
  t.is(config.wake, true);
});

test('a fault names file, line, key and what is allowed', (t) => {
  const message = (text: string) => t.throws(() => parseConfig(text, '/etc/r.conf'))?.message ?? '';
  t.regex(message('# x\nAgentPort=99999\n'), /^\/etc\/r\.conf:2: AgentPort=99999: allowed is 1-65535$/);
  t.regex(message('Agentport=1\n'), /^\/etc\/r\.conf:1: unknown key Agentport; allowed are ClusterName, /);
  t.regex(message('Wake=yes\nWake=no\n'), /^\/etc\/r\.conf:2: Wake was set in line 1 already$/);
  t.regex(message('hello\n'), /^\/etc\/r\.conf:1: not a Key=Value line: hello$/);
  t.regex(message('StateDir=var\n'), /StateDir=var: allowed is an absolute path/);
});

test('comments and blanks are of no account', (t) => {
  const config = parseConfig('\n  DrainMs = 20   # short\n', 'f');
  t.is(config.drainMs, 20);
});
