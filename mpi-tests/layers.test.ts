import test from 'ava';
import { z } from 'zod';
import { planSchema } from '../src/migration/record.ts';
import { endedVerified, submit } from './support/job.ts';
import { layeredImage, storeEntries } from './support/layered-image.ts';
import { move, request, tryMove, untilState } from './support/move.ts';
import { clearBreakpoint, setBreakpoint, untilHit } from './support/service.ts';
import { useCluster } from './support/use-cluster.ts';

/** A target whose own image store lacks a layer: it gets that one, checked, before the ranks notice anything. */
const cluster = useCluster(test, 'layers', { privateImages: true });
const mib = 24;

const submitPlus = (image: string) =>
  submit(
    cluster(),
    `exec rankshift run --image ${image} -- /opt/rankshift-tests/bin/memhog --seconds 3600 --mib 16 --step-ms 20`,
    { nodelist: 'n[1-2]' },
  );

test('the missing layer comes by its digest from the nearest node, not from one where it is damaged', async (t) => {
  t.timeout(480_000);
  const digest = await layeredImage(cluster(), 'plus', ['ctl', 'n1', 'n2'], mib);
  const hex = digest.slice('sha256:'.length);
  const noise = `/var/lib/rankshift/images/layers/sha256/${hex}/opt/more/noise`;
  const job = await submitPlus('plus');
  await job.untilPrinted(/"event":"progress"/, 2);
  const before = await storeEntries(cluster(), 'n3', 'layers/sha256');

  const shown = await cluster().rankshift(['plan', job.container(1), '--to', 'n3', '--json']);
  const { plan } = z.object({ plan: planSchema }).parse(JSON.parse(shown.stdout));
  t.deepEqual(plan.reasons, []);
  t.deepEqual(
    plan.layers.map((layer) => layer.digest),
    [digest],
  );
  t.deepEqual(plan.layers[0]?.from.toSorted(), ['n1', 'n2']);
  t.true((plan.layers[0]?.bytes ?? 0) > mib * 1_048_576);

  // Both have it with other bytes: nothing of it may stay.
  for (const node of ['n1', 'n2']) {
    await cluster().output(node, ['sh', '-c', `cp ${noise} /root/noise && printf X | dd of=${noise} conv=notrunc`]);
  }
  const bad = await tryMove(cluster(), job.container(1), { to: 'n3' });
  t.is(bad.record.state, 'rolled-back');
  t.regex(bad.record.error?.message ?? '', /digest/);
  t.deepEqual(await storeEntries(cluster(), 'n3', 'layers/sha256'), before);

  // One is whole again, whichever is asked first.
  await cluster().output('n1', ['cp', '/root/noise', noise]);
  const record = await move(cluster(), job.container(1), { to: 'n3' });
  t.is(record.plan?.layers.length, 1);
  t.deepEqual((await storeEntries(cluster(), 'n3', 'layers/sha256')).toSorted(), [...before, hex].toSorted());
  t.regex(await cluster().output('n3', ['rankshift', 'image', 'ls', '--no-header']), /^plus /m);
  const file = `/var/lib/rankshift/images/layers/sha256/${hex}/opt/more`;
  t.is(await cluster().output('n3', ['stat', '-c', '%a %h %U', `${file}/linked`]), '4711 2 root');
  t.is(await cluster().output('n3', ['cmp', `${file}/noise`, `${file}/noise`]), '');
  // From there it goes on: n3 has it with its recipe.
  await cluster().output('n2', ['cp', '/root/noise', noise]);
  t.deepEqual((await move(cluster(), job.container(1), { to: 'n2' })).plan?.layers, []);
  t.deepEqual(await job.finish(), endedVerified);
});

test('a move that is cancelled while layers come ends at once, and leaves nothing half', async (t) => {
  t.timeout(300_000);
  await layeredImage(cluster(), 'slow', ['ctl', 'n1', 'n2'], mib);
  const job = await submitPlus('slow');
  await job.untilPrinted(/"event":"progress"/, 2);
  const before = await storeEntries(cluster(), 'n3', 'layers/sha256');
  // Limited: the layer alone would take 24 s.
  const { id } = await request(cluster(), job.container(1), { to: 'n3', more: ['--bandwidth', '1M'] });
  await untilState(cluster(), id, ['preparing']);
  await new Promise((resolve) => setTimeout(resolve, 2000));
  t.true((await storeEntries(cluster(), 'n3', 'layers/sha256')).length > before.length, 'it is under way');
  const start = performance.now();
  await cluster().rankshift(['cancel', id]);
  await untilState(cluster(), id, ['cancelled']);
  t.log(`cancelled after ${Math.round(performance.now() - start)} ms`);
  // The command line, twice, on a busy machine; the layer alone would take 20 s more.
  t.true(performance.now() - start < 15_000);
  t.deepEqual(await storeEntries(cluster(), 'n3', 'layers/sha256'), before);

  // Called off before the first byte. Its agent may see that after the layer has come, which then stays, whole.
  setBreakpoint(cluster(), 'n3', 'target-fetching');
  const second = await request(cluster(), job.container(1), { to: 'n3' });
  await untilHit(cluster(), 'n3', 'target-fetching');
  await cluster().rankshift(['cancel', second.id]);
  clearBreakpoint(cluster(), 'n3', 'target-fetching');
  await untilState(cluster(), second.id, ['cancelled']);
  const entries = await storeEntries(cluster(), 'n3', 'layers/sha256');
  t.deepEqual(
    entries.filter((name) => !/^[0-9a-f]{64}$/.test(name)),
    [],
  );
  t.deepEqual(await job.finish(), endedVerified);
});
