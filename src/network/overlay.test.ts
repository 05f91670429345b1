import test from 'ava';
import { type Identity, overlayIdentity } from './identity.ts';
import { nodeAddress, type Scratch, wiredNodes } from './testing/scratch.ts';

const config = { overlaySubnet: '10.201.0.0/16' };
const job = 0x2a2a2a;
const overlay = { port: 4789, mtu: 1450 };
const containers = 4;
const identities = Array.from({ length: containers }, (_, index) => overlayIdentity(job, index, config));
const identity = (index: number) => identities[index] as Identity;
const peersOf = (index: number) => identities.filter((_, other) => other !== index);
const settled = () => new Promise((resolve) => setTimeout(resolve, 100));

async function cluster(count: number) {
  const { nodes, wire } = await wiredNodes(count);
  const open: Scratch[] = [wire, ...nodes];
  await Promise.all(
    nodes.map((node, i) =>
      node.call('ensureOverlay', { identity: identity(0), localAddress: nodeAddress(i), ...overlay }),
    ),
  );
  return {
    nodes,
    node: (index: number) => nodes[index] as Scratch,
    /** Every node's table by who lives where. */
    async point(places: number[]) {
      for (const [i, node] of nodes.entries()) {
        const rows = places.map((at, index) => {
          const { mac, hostInterface } = identity(index);
          return at === i ? { mac, nodeAddress: 'local', hostInterface } : { mac, nodeAddress: nodeAddress(at) };
        });
        await node.call('setPeers', identity(0).vni, rows);
      }
    },
    async plug(at: number, index: number, held = false): Promise<void> {
      await nodes[at]?.call('plug', { identity: identity(index), peers: peersOf(index), held });
    },
    async inside(at: number, index: number): Promise<Scratch> {
      const process = await (nodes[at] as Scratch).container(identity(index).netns);
      open.push(process);
      await process.call('serve');
      return process;
    },
    end: () => open.map((process) => process.end()),
  };
}

test.serial('containers of a job reach each other on one node and across nodes', async (t) => {
  const c = await cluster(2);
  t.teardown(c.end);
  for (const [index, at] of [0, 0, 1].entries()) await c.plug(at, index);
  await c.point([0, 0, 1]);
  const [a, b, far] = [await c.inside(0, 0), await c.inside(0, 1), await c.inside(1, 2)];
  for (const [from, to] of [
    [a, 1],
    [a, 2],
    [b, 2],
    [far, 0],
    [far, 1],
  ] as const) {
    t.true((await from.call('untilAnswered', identity(to).ip, 2000)) >= 0);
  }
  const { roundTrips, longestMs } = await a.call('pingPong', identity(2).ip, 200);
  t.log(`${roundTrips} TCP round trips between nodes in 0.2 s, the longest ${longestMs.toFixed(2)} ms`);
});

test.serial('ensureOverlay may be repeated, and the overlay goes with the last port', async (t) => {
  const c = await cluster(1);
  t.teardown(c.end);
  const node = c.node(0);
  await c.plug(0, 0);
  await node.call('ensureOverlay', { identity: identity(0), localAddress: nodeAddress(0), ...overlay });
  t.log(`a repeated ensureOverlay took ${node.lastMs.toFixed(1)} ms`);
  const kinds = async () => (await node.call('listOurs')).links.map(({ kind }) => kind).sort();
  await node.call('removeOverlayIfUnused', identity(0).vni);
  t.deepEqual(await kinds(), ['bridge', 'port', 'vxlan']);
  await node.call('unplug', identity(0));
  await node.call('unplug', identity(0));
  await node.call('removeOverlayIfUnused', identity(0).vni);
  await node.call('removeOverlayIfUnused', identity(0).vni);
  t.deepEqual(await node.call('listOurs'), { netns: [], links: [], tables: [] });
});

test.serial(
  'a held port passes no frame in either direction, also when its link or another port changes',
  async (t) => {
    const c = await cluster(2);
    t.teardown(c.end);
    for (const [index, at] of [0, 0, 1].entries()) await c.plug(at, index);
    await c.point([0, 0, 1]);
    const [node, { ip, hostInterface }] = [c.node(0), identity(0)];
    const [held, near, far] = [await c.inside(0, 0), await c.inside(0, 1), await c.inside(1, 2)];
    t.true((await held.call('untilAnswered', identity(2).ip, 2000)) >= 0);

    await node.call('hold', identity(0));
    t.log(`hold took ${node.lastMs.toFixed(1)} ms`);
    const silent = async (after: string) => {
      const before = await Promise.all([held, near, far].map((at) => at.call('frames')));
      await Promise.all([
        ...[identity(1).ip, identity(2).ip, '10.201.255.255', '10.201.77.77'].map((to) => held.call('send', to, 20)),
        ...[near, far].flatMap((peer) => [peer.call('send', ip, 50), peer.call('send', '10.201.255.255', 20)]),
      ]);
      await settled();
      const now = await Promise.all([held, near, far].map((at) => at.call('frames')));
      const received = (counts: typeof now) => counts.map((count) => count.received);
      t.deepEqual(received(now), received(before), `into or out of the held container after ${after}`);
      t.true(
        now.every(({ sent }, i) => sent > (before[i]?.sent ?? 0)),
        'all of them did try',
      );
    };
    await silent('hold');
    await node.call('command', 'ip', 'link', 'set', hostInterface, 'arp', 'off');
    await node.call('command', 'ip', 'link', 'set', hostInterface, 'alias', 'x', 'txqueuelen', '500', 'promisc', 'on');
    await silent('changes of the link');
    await c.plug(0, 3);
    await node.call('unplug', identity(3));
    await node.call('ensureOverlay', { identity: identity(0), localAddress: nodeAddress(0), ...overlay });
    await new Promise((resolve) => setTimeout(resolve, 1200));
    await silent('another port came and went');

    const answered = near.call('untilAnswered', ip, 2000);
    await node.call('release', identity(0));
    t.log(`release took ${node.lastMs.toFixed(1)} ms`);
    t.true((await answered) >= 0);
    await node.call('hold', identity(0));
    await node.call('release', identity(0));
    const first = await far.call('untilAnswered', ip, 2000);
    t.log(`first answer to another node ${first.toFixed(1)} ms after release returned`);
    t.true(first >= 0 && first < 200);
  },
);

test.serial('a TCP connection survives a hold', async (t) => {
  const c = await cluster(2);
  t.teardown(c.end);
  await c.plug(0, 0);
  await c.plug(1, 1);
  await c.point([0, 1]);
  const a = await c.inside(0, 0);
  await c.inside(1, 1);
  const running = a.call('pingPong', identity(1).ip, 1500);
  await settled();
  await c.node(0).call('hold', identity(0));
  await new Promise((resolve) => setTimeout(resolve, 300));
  await c.node(0).call('release', identity(0));
  const { roundTrips, longestMs } = await running;
  t.log(`${roundTrips} round trips, the longest ${longestMs.toFixed(0)} ms around a hold of 300 ms`);
  t.true(longestMs >= 290 && roundTrips > 100);
});

test.serial(
  'plugged in and held, nothing passes from the first moment, and peers on that node still reach the old place',
  async (t) => {
    const c = await cluster(2);
    t.teardown(c.end);
    // Container 0 lives on node 0; peers on both nodes; it is being prepared on node 1.
    for (const [index, at] of [0, 0, 1].entries()) await c.plug(at, index);
    await c.point([0, 0, 1]);
    const [, near, far] = [await c.inside(0, 0), await c.inside(0, 1), await c.inside(1, 2)];
    const { ip, netns } = identity(0);
    for (let round = 0; round < 5; round++) {
      const flood = Promise.all([near.call('send', ip, 1500), far.call('send', ip, 1500)]);
      await c.plug(1, 0, true);
      const ms = c.node(1).lastMs;
      await flood;
      await settled();
      const copy = await c.node(1).container(netns);
      t.deepEqual(await copy.call('frames'), { received: 0, sent: 0 });
      copy.end();
      t.true((await far.call('untilAnswered', ip, 2000)) >= 0, 'the peer on the new node still reaches the old place');
      await c.node(1).call('unplug', identity(0));
      t.log(`plug took ${ms.toFixed(1)} ms, unplug ${c.node(1).lastMs.toFixed(1)} ms`);
    }
  },
);

test.serial('a move: held on the source, repointed everywhere, released on the target, and back', async (t) => {
  const c = await cluster(3);
  t.teardown(c.end);
  for (const [index, at] of [0, 0, 1, 2].entries()) await c.plug(at, index);
  await c.point([0, 0, 1, 2]);
  const { vni, mac, ip, hostInterface } = identity(0);
  const peers = [await c.inside(0, 1), await c.inside(1, 2), await c.inside(2, 3)];
  for (const [source, target] of [
    [0, 1],
    [1, 2],
    [2, 0],
  ] as const) {
    const old = await c.inside(source, 0);
    await c.plug(target, 0, true);
    await c.node(source).call('hold', identity(0));
    for (const [i, node] of c.nodes.entries()) {
      if (i === target) continue;
      await node.call('repoint', { vni, mac, nodeAddress: nodeAddress(target) });
      await node.call('repoint', { vni, mac, nodeAddress: nodeAddress(target) });
      t.log(`repoint took ${node.lastMs.toFixed(1)} ms`);
    }
    await c.node(target).call('release', identity(0));
    await c.node(target).call('repoint', { vni, mac, nodeAddress: 'local', hostInterface });
    const before = await Promise.all(peers.map((peer) => peer.call('received')));

    // The old copy is fenced twice: were its link to flap, which makes the kernel enable the port, the table still says no.
    await c.node(source).call('command', 'ip', '-n', identity(0).netns, 'link', 'set', 'eth0', 'down');
    await c.node(source).call('command', 'ip', '-n', identity(0).netns, 'link', 'set', 'eth0', 'up');
    await settled();
    for (const peer of [1, 2, 3]) await old.call('send', identity(peer).ip, 5).catch(() => undefined);
    await settled();
    t.deepEqual(await Promise.all(peers.map((peer) => peer.call('received'))), before);

    const fresh = await c.inside(target, 0);
    for (const peer of peers) t.true((await peer.call('untilAnswered', ip, 2000)) >= 0);
    for (const peer of [1, 2, 3]) t.true((await fresh.call('untilAnswered', identity(peer).ip, 2000)) >= 0);
    t.is(await old.call('received'), 0);
    old.end();
    fresh.end();
    await c.node(source).call('unplug', identity(0));
  }
});

test.serial('a network namespace is never used twice', async (t) => {
  const c = await cluster(1);
  t.teardown(c.end);
  await c.plug(0, 0);
  await t.throwsAsync(c.plug(0, 0), { message: /exists already/ });
  await c.node(0).call('unplug', identity(0));
  await t.notThrowsAsync(c.plug(0, 0));
});

test.serial('plug without an overlay says so and leaves nothing', async (t) => {
  const c = await cluster(1);
  t.teardown(c.end);
  await c.node(0).call('removeOverlay', identity(0).vni);
  await t.throwsAsync(c.plug(0, 0), { message: /rsb2a2a2a/ });
  t.deepEqual(await c.node(0).call('listOurs'), { netns: [], links: [], tables: [] });
});

test.serial('the sweep removes what is not kept, and nothing else', async (t) => {
  const c = await cluster(1);
  t.teardown(c.end);
  const node = c.node(0);
  const other = overlayIdentity(9, 0, config);
  await node.call('ensureOverlay', { identity: other, localAddress: nodeAddress(0), ...overlay });
  await node.call('plug', { identity: other, peers: [], held: false });
  await c.plug(0, 0);
  await c.plug(0, 1);
  await node.call('command', '/usr/sbin/nft', 'add', 'table', 'inet', 'CRIU-77');
  await node.call('command', 'ip', 'link', 'add', 'rsync0', 'type', 'bridge');
  t.deepEqual((await node.call('listOurs')).tables, [{ family: 'inet', name: 'CRIU-77' }]);
  t.deepEqual((await node.call('removeLeftovers', [`${job}.1`])).sort(), [
    ...['rs-2763306-0', 'rs-9-0', 'rsb9', 'rsv2a2a2a.0', 'rsv9.0', 'rsx9'],
  ]);
  t.is((await node.call('removeLeftovers', [])).length, 5);
  t.deepEqual(await node.call('listOurs'), { netns: [], links: [], tables: [] });
  t.regex(await node.call('command', 'ip', 'link'), /rsync0/);
});
