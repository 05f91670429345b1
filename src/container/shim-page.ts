/** Names of the MPI shim and of the page that it shares with the agent, in the container's own directory. */
export const shimFile = 'mpi.so';
export const shimPageFile = 'mpi.page';

/** Places of a page: src/shim/page.h. */
const headerBytes = 64;
const slotBytes = 64;
const magic = 0x314d4853;

/** A page as the shim finds it at its start. Twice the places: programs that died keep theirs until somebody looks. */
export function newShimPage(ranks: number): Buffer {
  const slots = Math.max(8, 2 * ranks);
  const page = Buffer.alloc(headerBytes + slots * slotBytes);
  page.writeUInt32LE(magic, 0);
  page.writeUInt32LE(slots, 4);
  return page;
}

/** A rank as the page shows it. */
export interface ShimRank {
  /** In the container's numbers. */
  pid: number;
  /** Threads inside of MPI calls, the parked ones among them. */
  inside: number;
  parked: number;
}

/** Places of the words that the agent writes. */
export const shimWord = { request: 8, released: 12, limitMs: 16 } as const;

/** A page is never larger; what the user has made of the file is not believed. */
export const largestShimPage = headerBytes + 16_384 * slotBytes;

/** What the agent reads of a page; null where it is none. */
export function readShimPage(page: Buffer): { request: number; released: number; ranks: ShimRank[] } | null {
  if (page.length < headerBytes || page.readUInt32LE(0) !== magic) return null;
  const slots = Math.min(page.readUInt32LE(4), Math.floor((page.length - headerBytes) / slotBytes));
  const ranks = Array.from({ length: slots }, (_, index) => {
    const at = headerBytes + index * slotBytes;
    return { pid: page.readUInt32LE(at), inside: page.readUInt32LE(at + 4), parked: page.readUInt32LE(at + 8) };
  });
  return {
    request: page.readUInt32LE(shimWord.request),
    released: page.readUInt32LE(shimWord.released),
    ranks: ranks.filter(({ pid }) => pid !== 0),
  };
}

/** How many ranks are parked, inside of a call, and in neither. */
export function countRanks(ranks: readonly ShimRank[]): { parked: number; inside: number; outside: number } {
  const inside = ranks.filter((rank) => rank.inside > rank.parked).length;
  const parked = ranks.filter((rank) => rank.inside <= rank.parked && rank.parked > 0).length;
  return { parked, inside, outside: ranks.length - parked - inside };
}
