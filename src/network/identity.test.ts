import test from 'ava';
import fc from 'fast-check';
import { jobVni, overlayIdentity, parseDeviceName, parseNetnsName } from './identity.ts';

const config = { overlaySubnet: '10.201.0.0/16' };
const jobs = fc.integer({ min: 1, max: 0xffffff });
const indices = fc.integer({ min: 0, max: 65_533 });

test('an identity is what the design says', (t) => {
  t.deepEqual(overlayIdentity(42, 1, config), {
    ...{ vni: 42, bridge: 'rsb2a', vxlan: 'rsx2a', hostInterface: 'rsv2a.1', netns: 'rs-42-1' },
    ...{ ip: '10.201.0.2', prefix: 16, mac: '02:52:53:00:00:02', name: 'c1' },
  });
  t.is(overlayIdentity(1, 65_533, config).ip, '10.201.255.254');
  t.is(overlayIdentity(1, 65_533, config).mac, '02:52:53:00:ff:fe');
});

test('device names have at most 15 characters', (t) => {
  fc.assert(
    fc.property(jobs, indices, (job, index) => {
      const { bridge, vxlan, hostInterface } = overlayIdentity(job, index, config);
      return [bridge, vxlan, hostInterface].every((name) => name.length <= 15);
    }),
  );
  t.is(overlayIdentity(0xffffff, 65_533, config).hostInterface.length, 15);
});

test('names tell job and index, so no two containers share one', (t) => {
  fc.assert(
    fc.property(jobs, indices, (job, index) => {
      const identity = overlayIdentity(job, index, config);
      t.deepEqual(parseDeviceName(identity.hostInterface), { kind: 'port', vni: job, index });
      t.deepEqual(parseDeviceName(identity.bridge), { kind: 'bridge', vni: job });
      t.deepEqual(parseDeviceName(identity.vxlan), { kind: 'vxlan', vni: job });
      t.deepEqual(parseNetnsName(identity.netns), { job, index });
    }),
  );
});

test('addresses inside a job are unique', (t) => {
  const all = Array.from({ length: 2000 }, (_, index) => overlayIdentity(7, index * 32, config));
  t.is(new Set(all.map(({ ip }) => ip)).size, all.length);
  t.is(new Set(all.map(({ mac }) => mac)).size, all.length);
});

test('names of others are left alone', (t) => {
  for (const name of ['eth0', 'rsb', 'rsb0', 'rsb02a', 'rsv2a', 'rsb2a.1', 'rsv2a.01', 'rsb1234567', 'rsync0', 'lo']) {
    t.is(parseDeviceName(name), null, name);
  }
  for (const name of ['rs-', 'rs-1', 'rs-0-1', 'rs-1-01', 'x-rs-1-1', 'rs-1-1-1'])
    t.is(parseNetnsName(name), null, name);
});

test('job numbers beyond 24 bits wrap around without 0', (t) => {
  t.is(jobVni(0xffffff), 0xffffff);
  t.is(jobVni(0x1000000), 1);
  t.is(jobVni(0x3ffffff), 3);
  for (const bad of [0, -1, 1.5, Number.NaN]) t.throws(() => jobVni(bad), { name: 'RankshiftError' });
  for (const bad of [-1, 65_534, 0.5]) t.throws(() => overlayIdentity(1, bad, config), { name: 'RankshiftError' });
});
