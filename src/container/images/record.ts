import { z } from 'zod';
import { digestSchema, imageNameSchema } from './name.ts';

/** What of an image's configuration matters to a rank container. */
export const imageConfigSchema = z.object({
  env: z.array(z.string().regex(/^[^=\0]+=[^\0]*$/)).max(4096),
  workingDir: z.string().regex(/^\//).optional(),
});

/** images/<name>.json of the image store. */
export const imageRecordSchema = z.object({
  version: z.literal(1),
  name: imageNameSchema,
  /** Of the image's configuration (OCI), or of the one layer of a plain directory. */
  digest: digestSchema,
  /** Diff ids, bottom first. */
  layers: z.array(digestSchema).min(1).max(500),
  config: imageConfigSchema,
  importedAt: z.iso.datetime(),
  /** Bytes of all layers on disk, shared ones included. */
  bytes: z.number().int().nonnegative(),
});

export type ImageConfig = z.infer<typeof imageConfigSchema>;
export type ImageRecord = z.infer<typeof imageRecordSchema>;
