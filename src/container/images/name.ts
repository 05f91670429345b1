import { z } from 'zod';
import { RankshiftError } from '../../errors.ts';

/** A name of an image, like `openmpi`, `hpc/lammps:2025`. */
export const imageNameSchema = z
  .string()
  .max(200)
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.:/-]*$/, 'an image name: letters, digits, _ . : / -, first a letter or digit');

/** The digest of a layer or image. */
export const digestSchema = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'sha256:<64 hex digits>');

/** @throws RankshiftError E_BAD_INPUT naming what is allowed. */
export function parseImageName(name: string): string {
  const parsed = imageNameSchema.safeParse(name);
  if (parsed.success) return parsed.data;
  throw new RankshiftError('E_BAD_INPUT', `${JSON.stringify(name)} is not ${parsed.error.issues[0]?.message}`);
}

/** The file of an image's record: one name, one file, no directory in between. */
export function recordFileName(name: string): string {
  return `${encodeURIComponent(parseImageName(name))}.json`;
}
