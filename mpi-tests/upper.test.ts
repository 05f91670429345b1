import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { endedVerified, submit } from './support/job.ts';
import { move } from './support/move.ts';
import { useCluster } from './support/use-cluster.ts';

/** What a job writes into its own root file system travels before the freeze, and what it writes meanwhile as well. */
const cluster = useCluster(test, 'upper');
const mib = 200;

/** Fills a file, writes numbers all over its first half, a page apart, and each into a log when it is written. */
const script = `#!/bin/sh
if [ "$(hostname)" = c1 ]; then
  head -c ${mib}M /dev/urandom >/tmp/big
  tail -c ${mib / 2}M /tmp/big | sha256sum >/tmp/sum
  mkdir /tmp/many; for i in $(seq 500); do echo $i >/tmp/many/$i; done
  ln /tmp/big /tmp/linked; touch /tmp/filled
  (i=0; while :; do
    i=$((i + 1)); printf '%08d' $i | dd of=/tmp/big bs=1 seek=$((i * 4096)) conv=notrunc 2>/dev/null
    echo $i >>/tmp/log; mv /tmp/many/$((i % 500 + 1)) /tmp/many/moved-$i 2>/dev/null; sleep 0.05
  done) &
fi
exec /opt/rankshift-tests/bin/memhog --seconds 3600 --mib 32 --step-ms 20
`;

test(`a job that has ${mib} MiB in its /tmp, and goes on writing there, loses nothing, and its freeze does not carry it`, async (t) => {
  t.timeout(480_000);
  const home = join(cluster().testbed.paths.homeDir, 'alice');
  writeFileSync(join(home, 'writer'), script, { mode: 0o755 });
  const job = await submit(cluster(), 'exec rankshift run -- /home/alice/writer', { nodelist: 'n[1-2]' });
  await job.untilPrinted(/"event":"progress"/, 2);
  for (const to of ['n3', 'n2']) {
    const { result } = await move(cluster(), job.container(1), { to });
    t.log(JSON.stringify({ downtimeMs: result?.downtimeMs, upper: result?.upper }));
    t.true((result?.upper?.passes[0]?.bytes ?? 0) > mib * 1_048_576, 'before the freeze');
    t.true((result?.upper?.final?.bytes ?? Number.POSITIVE_INFINITY) < 4 * 1_048_576, 'in the freeze');
    const check = `cd /var/lib/rankshift/containers/${job.container(1)}/upper/tmp
      [ "$(stat -c %i big)" = "$(stat -c %i linked)" ] && [ "$(tail -c ${mib / 2}M big | sha256sum)" = "$(cat sum)" ] || exit 1
      kill -STOP $(cat /sys/fs/cgroup/rankshift/rs-${job.id}-1/cgroup.procs); sleep 0.2
      last=$(tail -n 1 log); [ "$(cat log)" = "$(seq $last)" ] || { echo the log has a gap; exit 2; }
      for i in $(seq $last); do
        [ "$(dd if=big bs=4096 skip=$i count=1 2>/dev/null | head -c 8)" = "$(printf %08d $i)" ] || { echo $i is lost; exit 3; }
      done
      [ "$(ls many | wc -l)" = 500 ] || { ls many | wc -l; exit 4; }
      kill -CONT $(cat /sys/fs/cgroup/rankshift/rs-${job.id}-1/cgroup.procs); echo $last`;
    const checked = await cluster().exec(to, ['sh', '-c', check]);
    t.is(checked.exitCode, 0, checked.stdout + checked.stderr);
    t.true(Number(checked.stdout) > 20);
  }
  t.deepEqual(await job.finish(), endedVerified);
});
