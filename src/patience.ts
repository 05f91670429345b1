/**
 * Deadlines between programs and nodes are times that a machine of today keeps with ease. An emulated one does not: the
 * testbed of virtual machines sets RANKSHIFT_PATIENCE, by which they are multiplied.
 */
const factor = Math.min(100, Math.max(1, Number(process.env['RANKSHIFT_PATIENCE'] ?? 1) || 1));

/** A deadline in milliseconds (or any unit) on this kind of machine. */
export const patiently = (deadline: number) => deadline * factor;
