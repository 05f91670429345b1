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
