/** The thermo lines of a run of LAMMPS, from `Step` to `Loop time`: all its results, digit for digit. */
export function thermo(text: string): string[] {
  const lines = text.split('\n');
  const from = lines.findIndex((line) => /^ +Step /.test(line));
  const to = lines.findIndex((line) => line.startsWith('Loop time'));
  return lines.slice(from + 1, to);
}
