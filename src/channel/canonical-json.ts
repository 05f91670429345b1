import { RankshiftError } from '../errors.ts';

/**
 * JSON with sorted keys and no white space, so that both ends of a signature see the same bytes (after RFC 8785).
 * Members that are undefined are left out, as JSON.stringify does.
 * @throws RankshiftError E_INTERNAL for what JSON cannot hold: bigint, functions, NaN, infinities, undefined elements.
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
    return `{${members.join(',')}}`;
  }
  const holdable = value === null || ['string', 'boolean'].includes(typeof value) || Number.isFinite(value);
  if (!holdable) throw new RankshiftError('E_INTERNAL', `a ${typeof value} cannot be signed: ${String(value)}`);
  return JSON.stringify(value);
}
