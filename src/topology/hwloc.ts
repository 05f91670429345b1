import { XMLParser } from 'fast-xml-parser';
import { RankshiftError } from '../errors.ts';
import { run } from '../process/run.ts';

/** The shape of a node as hwloc sees it. Memory in bytes. */
export interface Topology {
  packages: number;
  cores: number;
  /** Hardware threads. */
  pus: number;
  numaNodes: number;
  memoryBytes: number;
}

/**
 * Asks hwloc for this node's topology: `lstopo-no-graphics --of xml`.
 * @throws RankshiftError E_MISSING where hwloc is absent, E_COMMAND, E_TIMEOUT.
 */
export async function hwlocTopology(lstopo = 'lstopo-no-graphics'): Promise<Topology> {
  const { stdout } = await run(lstopo, ['--of', 'xml'], { timeoutMs: 10_000 });
  return parseHwloc(stdout);
}

interface HwlocObject {
  '@type'?: string;
  '@local_memory'?: string;
  object?: HwlocObject[];
}

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  isArray: (name) => name === 'object',
  parseTagValue: false,
  parseAttributeValue: false,
  processEntities: false,
});

/**
 * Counts the objects of hwloc's XML (format 2.0; hwloc-ls(1), "XML"): a NUMANode stands among the children of the
 * object whose memory it is, so every level is walked.
 * @throws RankshiftError E_COMMAND where it is not hwloc's XML.
 */
export function parseHwloc(xml: string): Topology {
  const topology: Topology = { packages: 0, cores: 0, pus: 0, numaNodes: 0, memoryBytes: 0 };
  let root: HwlocObject | undefined;
  try {
    root = (parser.parse(xml) as { topology?: HwlocObject }).topology;
  } catch (cause) {
    throw new RankshiftError('E_COMMAND', `hwloc's XML cannot be read: ${(cause as Error).message}`, { cause });
  }
  count(root?.object ?? [], topology);
  if (topology.pus === 0) throw new RankshiftError('E_COMMAND', "hwloc's XML names no processing unit");
  return topology;
}

function count(objects: readonly HwlocObject[], topology: Topology): void {
  for (const object of objects) {
    const type = object['@type'];
    if (type === 'Package') topology.packages += 1;
    if (type === 'Core') topology.cores += 1;
    if (type === 'PU') topology.pus += 1;
    if (type === 'NUMANode') {
      topology.numaNodes += 1;
      topology.memoryBytes += Number(object['@local_memory'] ?? '0');
    }
    count(object.object ?? [], topology);
  }
}

/** One way in which two nodes differ; none of them forbids a move, all of them may change its speed. */
export interface TopologyDifference {
  what: keyof Topology;
  source: number;
  target: number;
  message: string;
}

const names: Record<keyof Topology, string> = {
  packages: 'packages',
  cores: 'cores',
  pus: 'hardware threads',
  numaNodes: 'NUMA nodes',
  memoryBytes: 'bytes of memory',
};

/** Nodes of one kind differ by some percent of memory, which the firmware keeps. */
const memorySlack = 0.05;

/** Where the target is built differently from the source; memory counts only where it is clearly less. */
export function compareTopology(source: Topology, target: Topology): TopologyDifference[] {
  const keys = Object.keys(names) as (keyof Topology)[];
  return keys.flatMap((what) => {
    const [here, there] = [source[what], target[what]];
    const same = what === 'memoryBytes' ? there >= here * (1 - memorySlack) : there === here;
    if (same) return [];
    return [
      { what, source: here, target: there, message: `the source has ${here} ${names[what]}, the target ${there}` },
    ];
  });
}
