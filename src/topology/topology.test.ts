import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { RankshiftError } from '../errors.ts';
import { compareCpu, cpuFeatures, parseCpuinfo } from './cpu.ts';
import { compareTopology, parseHwloc } from './hwloc.ts';
import { nodeResources, parsePressure } from './resources.ts';

const fixture = (name: string) => readFileSync(join(import.meta.dirname, 'fixtures', name), 'utf8');
const cpuinfo = (flags: string, vendor = 'GenuineIntel') =>
  `processor\t: 0\nvendor_id\t: ${vendor}\nmodel name\t: Some CPU\nflags\t\t: ${flags}\nbugs\t\t: spectre_v1\n\n`;

test('keeps instruction-set flags, drops those of the kernel', (t) => {
  const cpu = parseCpuinfo(cpuinfo('fpu sse2 constant_tsc nonstop_tsc hypervisor avx512f ibrs vmx arch_capabilities'));
  t.deepEqual(cpu, { vendor: 'GenuineIntel', model: 'Some CPU', flags: ['avx512f', 'fpu', 'sse2'] });
});

test('a node whose CPUs differ has what all of them have', (t) => {
  t.deepEqual(parseCpuinfo(cpuinfo('fpu avx amx_tile') + cpuinfo('fpu avx')).flags, ['avx', 'fpu']);
});

test('ARM', (t) => {
  const text = 'processor\t: 0\nBogoMIPS\t: 50\nFeatures\t: fp asimd sve\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n';
  t.deepEqual(parseCpuinfo(text), { vendor: '0x41', model: '0xd40', flags: ['asimd', 'fp', 'sve'] });
});

test('flags that the target lacks are named, what it has besides does not matter', (t) => {
  const rich = parseCpuinfo(cpuinfo('fpu avx avx512f some_new_instruction constant_tsc'));
  const poor = parseCpuinfo(cpuinfo('fpu avx'));
  t.deepEqual(compareCpu(poor, rich), []);
  const [reason, ...more] = compareCpu(rich, poor);
  t.deepEqual(more, []);
  t.like(reason, { code: 'cpu-features', flags: ['avx512f', 'some_new_instruction'] });
  t.deepEqual(
    compareCpu(poor, parseCpuinfo(cpuinfo('fpu avx', 'AuthenticAMD'))).map(({ code }) => code),
    ['cpu-vendor'],
  );
});

test('this node can take what runs on it', async (t) => {
  const here = await cpuFeatures();
  t.true(here.flags.length > 5);
  t.deepEqual(compareCpu(here, here), []);
});

test("counts hwloc's objects", (t) => {
  const small = parseHwloc(fixture('one-package.xml'));
  const large = parseHwloc(fixture('two-packages.xml'));
  t.deepEqual(small, { packages: 1, cores: 2, pus: 2, numaNodes: 1, memoryBytes: 8_684_515_328 });
  t.deepEqual(large, { packages: 2, cores: 16, pus: 32, numaNodes: 4, memoryBytes: 4 * 1024 ** 3 });
  t.deepEqual(
    compareTopology(small, large).map(({ what }) => what),
    ['packages', 'cores', 'pus', 'numaNodes', 'memoryBytes'],
  );
  t.deepEqual(compareTopology(small, { ...small, memoryBytes: small.memoryBytes * 0.97 }), []);
});

test('what is not the XML of hwloc is refused', (t) => {
  for (const text of ['', '<a/>', '<topology><object type="Machine"/></topology>', '<topology']) {
    t.throws(() => parseHwloc(text), { instanceOf: RankshiftError }, text);
  }
});

test('measures this node', async (t) => {
  const now = await nodeResources('/');
  t.true(now.memoryAvailableBytes > 0 && now.memoryAvailableBytes <= now.memoryTotalBytes);
  t.true(now.stateDirFreeBytes > 0);
  t.regex(now.kernel, /^\d+\.\d+/);
  await t.throwsAsync(nodeResources('/does/not/exist'));
});

test('reads PSI with and without its full line', (t) => {
  t.deepEqual(
    parsePressure('some avg10=4.14 avg60=1.38 avg300=0.85 total=2\nfull avg10=0.50 avg60=0 avg300=0 total=0\n'),
    {
      some: 4.14,
      full: 0.5,
    },
  );
  t.deepEqual(parsePressure('some avg10=1.00 avg60=0 avg300=0 total=0\n'), { some: 1, full: 0 });
});
