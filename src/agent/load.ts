import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { containerDir } from '../config.ts';
import { cgroupMount } from '../container/cgroup.ts';
import { cgroupDirectory } from '../container/find-init.ts';
import { rootfsPath } from '../container/rootfs.ts';
import type { NodeLoad } from '../store/nodes.ts';
import { Average, Rate } from './average.ts';
import type { AgentContext } from './context.ts';
import { listLocalContainers } from './files.ts';
import { shareInMpi } from './quiesce.ts';

/** More containers than this on one node are not told one by one: a heartbeat stays small. */
const mostContainers = 256;
/** Which containers are here is looked at so often. */
const listEveryMs = 5000;
/** Not with each heartbeat. */
const lookEveryMs = 1500;

/** Counters of one container, between two looks. */
export class ContainerMeter {
  readonly used = new Rate();
  readonly some = new Rate();
  readonly full = new Rate();
  readonly throttled = new Rate();
  readonly inMpi = new Average();

  async look(cgroup: string, rootfs: string, at: number): Promise<[number, number, number, number | null]> {
    const [stat, pressure, share] = await Promise.all([
      read(join(cgroup, 'cpu.stat')),
      read(join(cgroup, 'cpu.pressure')),
      shareInMpi(rootfs).catch(() => null),
    ]);
    const used = this.used.add(field(stat, 'usage_usec'), at);
    // One of several ranks waits, or all of them do: in between lies what the container as a whole is held up.
    const some = this.some.add(stalled(pressure, 'some'), at);
    const full = this.full.add(stalled(pressure, 'full'), at);
    const throttled = this.throttled.add(field(stat, 'throttled_usec'), at);
    const inMpi = share === null ? null : rounded(this.inMpi.add(share, at));
    return [rounded(used), rounded(Math.min(1, (some + full) / 2)), rounded(Math.min(1, throttled)), inMpi];
  }
}

/** What runs on this node and in each of its containers, and how much it is held up; some reads of /proc and cgroups. */
export class LoadMeter {
  readonly #context: AgentContext;
  readonly #used = new Rate();
  readonly #pressure = new Rate();
  readonly #memory = new Rate();
  readonly #steal = new Rate();
  readonly #runQueue = new Average();
  #containers = new Map<string, { meter: ContainerMeter; cgroup: string; rootfs: string }>();
  #listedAt = Number.NEGATIVE_INFINITY;
  /** Of the node's cgroups. */
  #root = '';
  #last: { at: number; load: NodeLoad } | null = null;

  constructor(context: AgentContext) {
    this.#context = context;
  }

  async look(): Promise<NodeLoad> {
    const at = performance.now();
    if (this.#last !== null && at - this.#last.at < lookEveryMs) return this.#last.load;
    const load = await this.#lookNow(at);
    this.#last = { at, load };
    return load;
  }

  async #lookNow(at: number): Promise<NodeLoad> {
    if (at - this.#listedAt > listEveryMs) await this.#list(at);
    const root = this.#root;
    const [own, stat, cpu, memory, loadavg] = await Promise.all([
      read(join(root, 'cpu.stat')),
      read('/proc/stat'),
      // A system container has a root of its own, a node's root cgroup may have none: there it is the machine's.
      read(join(root, 'cpu.pressure')).then((text) => text || read('/proc/pressure/cpu')),
      read(join(root, 'memory.pressure')).then((text) => text || read('/proc/pressure/memory')),
      read('/proc/loadavg'),
    ]);
    const ticks = (/^cpu +(.*)$/m.exec(stat)?.[1] ?? '').split(' ').map(Number);
    const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0, steal = 0] = ticks;
    const usedUs = own === '' ? (user + nice + system + irq + softIrq) * 10_000 : field(own, 'usage_usec');
    const containers: NodeLoad['containers'] = {};
    for (const [id, { meter, cgroup, rootfs }] of this.#containers)
      containers[id] = await meter.look(cgroup, rootfs, at);
    return {
      used: rounded(this.#used.add(usedUs, at)),
      pressure: rounded(Math.min(1, this.#pressure.add(stalled(cpu, 'some'), at))),
      runQueue: rounded(this.#runQueue.add(Number(/(\d+)\/\d+/.exec(loadavg)?.[1] ?? 0), at)),
      steal: rounded(this.#steal.add(steal * 10_000, at)),
      memory: rounded(Math.min(1, this.#memory.add(stalled(memory, 'some'), at))),
      containers,
    };
  }

  async #list(at: number): Promise<void> {
    const { config } = this.#context;
    this.#root = (await cgroupMount())?.point ?? '';
    const before = this.#containers;
    this.#containers = new Map();
    for (const { facts } of (await listLocalContainers(config)).slice(0, mostContainers)) {
      const known = before.get(facts.id);
      const cgroup = await cgroupDirectory(facts.job, facts.index);
      const rootfs = rootfsPath(containerDir(config, facts.id));
      this.#containers.set(facts.id, known ?? { meter: new ContainerMeter(), cgroup, rootfs });
    }
    this.#listedAt = at;
  }
}

const read = (file: string) => readFile(file, 'utf8').catch(() => '');
const field = (text: string, name: string) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
/** Microseconds of stall in a file of PSI (psi.rst). */
const stalled = (text: string, line: string) =>
  Number(new RegExp(`^${line} .* total=(\\d+)$`, 'm').exec(text)?.[1] ?? 0);
const rounded = (value: number) => Math.round(value * 1000) / 1000;
