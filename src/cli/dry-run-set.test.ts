import test from 'ava';
import { type Plan, planSchema } from '../migration/record.ts';
import { describeSetPlan } from './dry-run-set.ts';

function plan(container: string, fields: Partial<Plan>): Plan {
  return planSchema.parse({
    ...{ container, source: 'n1', target: 'n2', strategy: 'pre-copy', memoryBytes: 1, link: null },
    ...{ predicted: { downtimeMs: 300, totalMs: 3000, copyMs: 2000 }, reasons: [], warnings: [] },
    ...fields,
  });
}

test('each move with its prediction or what is against it, and how long all take', (t) => {
  const refused = plan('42.2', {
    target: null,
    predicted: null,
    reasons: [{ code: 'no-target', message: 'none fits' }],
  });
  const moves = [{ id: '42.1', copyFromMs: 700, stopFromMs: 2700, endMs: 3000 }];
  const text = describeSetPlan({
    plans: [plan('42.1', {}), refused],
    prediction: { makespanMs: 3000, moves, unknown: ['42.3'] },
  });
  const [, first, second, last] = text.split('\n');
  t.regex(first ?? '', /^42\.1 +n1 +n2 +pre-copy +300 ms +3000 ms +3000 ms/);
  t.regex(second ?? '', /^42\.2 +n1 +- +- +- +- +- +none fits$/);
  t.is(last, 'together about 3000 ms, without 42.3, of which nothing could be predicted');
});
