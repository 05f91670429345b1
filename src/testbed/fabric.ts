import { readFileSync, writeFileSync } from 'node:fs';
import { run } from '../process/run.ts';
import { testbedPaths } from './paths.ts';
import type { TestbedState } from './state.ts';

/**
 * Makes the network of a testbed: a network namespace that holds one bridge, and for each running node a link from the
 * bridge (named as the node) to `eth0` in the node (a virtual machine: a tap, which QEMU opens). The machine's own network stays untouched, so no address, route or
 * firewall of it can clash with a testbed. The namespace is kept by a mount on a file of the testbed's directory, not by
 * `ip netns`, which would leave a mount on /run/netns. Released by removeFabric.
 */
export async function createFabric(state: TestbedState): Promise<void> {
  const { fabric } = testbedPaths(state.name);
  writeFileSync(fabric, '');
  await run('unshare', [`--net=${fabric}`, 'true']);
  const links = state.nodes.flatMap(({ name, mac, kind, init }) => [
    kind === 'machine'
      ? `tuntap add dev ${name} mode tap`
      : `link add ${name} type veth peer name eth0 address ${mac} netns ${init?.pid ?? 0}`,
    `link set ${name} master fabric up`,
  ]);
  const batch = ['link add fabric type bridge forward_delay 0', 'link set fabric up', ...links].join('\n');
  await run('nsenter', [`--net=${fabric}`, 'ip', '-batch', '-'], { input: `${batch}\n` });
}

/** Removes the network of a testbed with all its links. Fine where it is absent. */
export async function removeFabric(name: string): Promise<void> {
  const { fabric } = testbedPaths(name);
  const isMounted = () => readFileSync('/proc/self/mounts', 'utf8').includes(` ${fabric} `);
  while (isMounted()) await run('umount', ['--lazy', fabric]);
}
