import test from 'ava';
import type { PlanInput } from './plan.ts';
import { whyNotVerifiable } from './verifiable.ts';

const input = (source: string, target: string, verify = true) =>
  ({ limits: { verify }, source: { name: 'n1', kernel: source }, target: { name: 'n2', kernel: target } }) as PlanInput;

test('a move is verified between kernels that tell which pages there are, and with strategies that bring them before', (t) => {
  t.deepEqual(whyNotVerifiable(input('6.12.107+deb13-cloud-amd64', '6.7.0'), 'pre-copy'), []);
  t.deepEqual(whyNotVerifiable(input('unknown', '10.0'), 'stop-and-copy'), []);
  t.deepEqual(whyNotVerifiable(input('5.10', '5.10', false), 'post-copy'), []);
  t.regex(whyNotVerifiable(input('6.18', '6.18'), 'post-copy')[0]?.message ?? '', /come after the container runs/);
});

test('a kernel before 6.7 keeps a move from being verified, and is named', (t) => {
  t.regex(whyNotVerifiable(input('6.12', '6.1.0-50-cloud-amd64'), 'pre-copy')[0]?.message ?? '', /n2.* 6\.1\.0-50/);
  t.is(whyNotVerifiable(input('5.15.0', '6.12'), 'stop-and-copy')[0]?.code, 'verify');
});
