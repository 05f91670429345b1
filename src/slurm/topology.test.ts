import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { parseTopology, switchPaths } from './topology.ts';

test('the path of a node through a tree of switches', (t) => {
  const paths = parseTopology(
    `SwitchName=s0 Level=0 LinkSpeed=1 Nodes=tux[0-1] 
SwitchName=s1 Level=0 LinkSpeed=1 Nodes=tux[2-3]
SwitchName=s2 Level=0 LinkSpeed=1 Nodes=tux4
SwitchName=s3 Level=1 LinkSpeed=1 Nodes=tux[0-3] Switches=s[0-1]
SwitchName=s4 Level=2 LinkSpeed=1 Nodes=tux[0-4] Switches=s[2-3]
`,
  );
  t.deepEqual(paths.get('tux0'), ['s0', 's3', 's4']);
  t.deepEqual(paths.get('tux3'), ['s1', 's3', 's4']);
  t.deepEqual(paths.get('tux4'), ['s2', 's4']);
  t.is(paths.size, 5);
});

test('no topology, and one that goes round in circles', (t) => {
  t.is(parseTopology('slurm_load_topo: no topology information available\n').size, 0);
  const paths = parseTopology('SwitchName=a Nodes=n1\nSwitchName=b Switches=a,c\nSwitchName=c Switches=b\n');
  t.deepEqual(paths.get('n1'), ['a', 'b', 'c']);
});

test('a slurmctld that was away is asked again for its switches', async (t) => {
  const scratch = mkdtempSync(join(tmpdir(), 'rankshift-topology-'));
  t.teardown(() => rmSync(scratch, { recursive: true }));
  const scontrolPath = join(scratch, 'scontrol');
  const scontrol = (line: string) => {
    writeFileSync(scontrolPath, `#!/bin/sh\n${line}\n`);
    chmodSync(scontrolPath, 0o755);
  };
  scontrol('echo "slurm_load_topo error: Unable to contact slurm controller (connect failure)" >&2; exit 1');
  t.is((await switchPaths({ scontrolPath })).size, 0);
  scontrol('echo "SwitchName=s0 Level=0 LinkSpeed=1 Nodes=n[1-2]"');
  t.deepEqual((await switchPaths({ scontrolPath })).get('n2'), ['s0']);
});
