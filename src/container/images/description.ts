import { z } from 'zod';
import { RankshiftError } from '../../errors.ts';
import type { BlobSource } from './blobs.ts';
import { digestSchema } from './name.ts';
import type { ImageConfig } from './record.ts';

/** An image as its source describes it, before any layer is read. */
export interface ImageDescription {
  digest: string;
  config: ImageConfig;
  source: BlobSource;
  /** Bottom first. */
  layers: LayerDescription[];
}

export interface LayerDescription {
  /** Name in the source. */
  blob: string;
  /** Digest of the blob as it lies there, where the source states one. */
  digest?: string;
  /** Digest of the uncompressed tar stream. */
  diffId: string;
}

/** The parts of an image configuration that count here (image-spec, config.md; Docker's is the same). */
const configurationSchema = z.object({
  architecture: z.string().optional(),
  os: z.string().optional(),
  config: z.object({ Env: z.array(z.string()).nullish(), WorkingDir: z.string().nullish() }).nullish(),
  rootfs: z.object({ diff_ids: z.array(digestSchema).min(1) }),
});

/** Architecture names of the image specification (those of Go) by those of Node. */
const architectures: Record<string, string> = { x64: 'amd64', arm64: 'arm64', ppc64: 'ppc64le' };

/** The platform of images that run here, as the image specification names it. */
export const platform = { os: 'linux', architecture: architectures[process.arch] ?? process.arch };

/**
 * Reads an image configuration.
 * @throws RankshiftError E_IMAGE where it is malformed or made for another platform.
 */
export function parseConfiguration(document: unknown): { config: ImageConfig; diffIds: string[] } {
  const parsed = parseDocument(configurationSchema, document, 'the image configuration');
  const { os = platform.os, architecture = platform.architecture } = parsed;
  if (os !== platform.os || architecture !== platform.architecture) {
    const here = `${platform.os}/${platform.architecture}`;
    throw new RankshiftError('E_IMAGE', `the image is made for ${os}/${architecture}, this node is ${here}`);
  }
  const env = (parsed.config?.Env ?? []).filter((line) => /^[^=\0]+=[^\0]*$/.test(line));
  const workingDir = parsed.config?.WorkingDir ?? '';
  return {
    config: { env, ...(workingDir.startsWith('/') ? { workingDir } : {}) },
    diffIds: parsed.rootfs.diff_ids,
  };
}

/** @throws RankshiftError E_IMAGE naming what is wrong in the document. */
export function parseDocument<T>(schema: z.ZodType<T>, document: unknown, what: string): T {
  const parsed = schema.safeParse(document);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new RankshiftError('E_IMAGE', `${what}: ${issue?.path.join('.')}: ${issue?.message}`);
}
