/** A node as placement sees it. What it has is what is free now; containers that leave a node free nothing for others. */
export interface PlacementNode {
  name: string;
  /** Why nothing may be put there: drained, without an agent, being evacuated itself; null where it may be a target. */
  barred: string | null;
  memoryFreeBytes: number;
  cpusFree: number;
  cpuFlags: readonly string[];
  /** Its switch, the switch above that, and so on up; empty where Slurm knows no topology. */
  switches: readonly string[];
}

/** What a node has left while a placement is made. */
export interface Slot {
  readonly name: string;
  cpus: number;
  memoryBytes: number;
  readonly bucket: Bucket;
  /** Whether a container can go on here that started on a CPU such as the source's. */
  suits(source: PlacementNode): boolean;
}

/** Nodes at one switch and with one kind of CPU, in an order in which the one with most room is found at once. */
export class Bucket {
  readonly path: readonly string[];
  readonly kind: Kind;
  /** Free CPUs -> nodes that have just so many, by free memory, the most last. */
  readonly #levels = new Map<number, Slot[]>();
  /** CPUs -> memory of which there is no more: room only shrinks, so what did not fit does not fit later. */
  readonly #bounds = new Map<number, number>();

  constructor(path: readonly string[], kind: Kind) {
    this.path = path;
    this.kind = kind;
  }

  add(slot: Slot): void {
    const level = this.#levels.get(slot.cpus) ?? [];
    if (level.length === 0) this.#levels.set(slot.cpus, level);
    level.splice(position(level, slot.memoryBytes), 0, slot);
  }

  remove(slot: Slot): void {
    const level = this.#levels.get(slot.cpus) ?? [];
    let at = position(level, slot.memoryBytes);
    while (level[at] !== slot) at -= 1;
    level.splice(at, 1);
    if (level.length === 0) this.#levels.delete(slot.cpus);
  }

  /** No node with so many CPUs free has more memory free than this; below zero where there is no such node. */
  bound(cpus: number): number {
    return this.#bounds.get(cpus) ?? Number.POSITIVE_INFINITY;
  }

  /** At most `count` nodes with so much room, those with most CPUs first, then those with most memory. */
  *fitting(cpus: number, memoryBytes: number, count: number): Generator<Slot> {
    const free = [...this.#levels.keys()].filter((level) => level >= cpus).sort((a, b) => b - a);
    let given = 0;
    let most = -1;
    for (const level of free) {
      const slots = this.#levels.get(level) ?? [];
      most = Math.max(most, slots.at(-1)?.memoryBytes ?? -1);
      for (let at = slots.length - 1; at >= 0 && given < count; at -= 1) {
        const slot = slots[at];
        if (slot === undefined || slot.memoryBytes < memoryBytes) break;
        given += 1;
        yield slot;
      }
    }
    if (given === 0) this.#bounds.set(cpus, most);
  }
}

/** A kind of CPU: its flags. */
interface Kind {
  flags: ReadonlySet<string>;
  number: number;
  /** As a bucket's, of all buckets that suit it. */
  bounds: Map<number, number>;
}

/** All nodes that may be targets. */
export interface Room {
  find(name: string): Slot | null;
  /** Buckets that may have so much room and whose CPUs suit a source, by how near their switch is to it. */
  near(source: PlacementNode, cpus: number, memoryBytes: number): Iterable<Bucket>;
  counts(source: PlacementNode): { open: number; barred: number; unlike: number };
}

/** Takes room of a node away, and says which it was. */
export function take(slot: Slot, cpus: number, memoryBytes: number): string {
  slot.bucket.remove(slot);
  slot.cpus -= cpus;
  slot.memoryBytes -= memoryBytes;
  slot.bucket.add(slot);
  return slot.name;
}

export function bucketsOf(nodes: readonly PlacementNode[]): Room {
  const kinds = new Map<string, Kind>();
  const kindOf = (node: PlacementNode): Kind => {
    const text = node.cpuFlags.join(' ');
    const kind = kinds.get(text) ?? { flags: new Set(node.cpuFlags), number: kinds.size, bounds: new Map() };
    kinds.set(text, kind);
    return kind;
  };
  const kindByNode = new Map(nodes.map((node) => [node.name, kindOf(node)]));
  const kind = (source: PlacementNode) => kindByNode.get(source.name) ?? kindOf(source);
  const superset = new Map<string, boolean>();
  const includes = (have: Kind, need: Kind): boolean => {
    if (have === need) return true;
    const key = `${have.number} ${need.number}`;
    const known = superset.get(key) ?? need.flags.isSubsetOf(have.flags);
    superset.set(key, known);
    return known;
  };
  const buckets = new Map<string, Bucket>();
  const slots = new Map<string, Slot>();
  for (const node of nodes) {
    if (node.barred !== null) continue;
    const own = kindOf(node);
    const key = `${own.number} ${node.switches.join('/')}`;
    const bucket = buckets.get(key) ?? new Bucket(node.switches, own);
    buckets.set(key, bucket);
    const suits = (source: PlacementNode) => includes(own, kind(source));
    const slot: Slot = { name: node.name, cpus: node.cpusFree, memoryBytes: node.memoryFreeBytes, bucket, suits };
    slots.set(node.name, slot);
    bucket.add(slot);
  }
  const unlikes = new Map<Kind, number>();
  const nearest = new Map<string, readonly Bucket[]>();
  const sorted = (source: PlacementNode, need: Kind): readonly Bucket[] => {
    const key = `${need.number} ${source.switches.join('/')}`;
    const known = nearest.get(key);
    if (known !== undefined) return known;
    const suitable = [...buckets.values()]
      .filter((bucket) => includes(bucket.kind, need))
      .map((bucket) => ({ bucket, far: distance(bucket.path, source.switches), other: bucket.kind === need ? 0 : 1 }))
      .sort((a, b) => a.far - b.far || a.other - b.other)
      .map(({ bucket }) => bucket);
    nearest.set(key, suitable);
    return suitable;
  };
  return {
    find: (name) => slots.get(name) ?? null,
    *near(source, cpus, memoryBytes) {
      const need = kind(source);
      const bounds = need.bounds;
      if (memoryBytes > (bounds.get(cpus) ?? Number.POSITIVE_INFINITY)) return;
      const suitable = sorted(source, need);
      for (const bucket of suitable) if (memoryBytes <= bucket.bound(cpus)) yield bucket;
      // Whoever asked for all of them found no room in any.
      bounds.set(cpus, Math.max(-1, ...suitable.map((bucket) => bucket.bound(cpus))));
    },
    counts(source) {
      const need = kind(source);
      const unlike = unlikes.get(need) ?? [...slots.values()].filter((slot) => !slot.suits(source)).length;
      unlikes.set(need, unlike);
      const own = slots.has(source.name) ? 1 : 0;
      return { open: slots.size - unlike - own, barred: nodes.length - slots.size, unlike };
    },
  };
}

/** Switches to go up until both are below the same one; one more than there are where they have none in common. */
export function distance(a: readonly string[], b: readonly string[]): number {
  for (const [up, name] of a.entries()) if (b.includes(name)) return Math.max(up, b.indexOf(name));
  return Math.max(a.length, b.length);
}

/** Where a memory belongs in a list by memory; of equal ones the last. */
function position(slots: readonly Slot[], memoryBytes: number): number {
  let [low, high] = [0, slots.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((slots[middle]?.memoryBytes ?? 0) <= memoryBytes) low = middle + 1;
    else high = middle;
  }
  return low;
}
