import { RankshiftError } from '../errors.ts';

/** Prints an error as a person or a program wants it, and gives the exit code of docs/architecture.md, "Errors". */
export function reportError(error: unknown, json: boolean): number {
  const known = RankshiftError.from(error);
  if (json) {
    console.log(JSON.stringify({ version: 1, error: known.toJSON() }));
    return known.exitCode;
  }
  console.error(`rankshift: error: ${known.message}`);
  for (const line of known.details.lines ?? []) console.error(`  | ${line}`);
  console.error(`rankshift: what to do: ${known.action}`);
  if (known.code === 'E_INTERNAL' && process.env['RANKSHIFT_DEBUG'] !== undefined) console.error(known.cause ?? known);
  return known.exitCode;
}
