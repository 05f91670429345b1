import { createHash } from 'node:crypto';
import { z } from 'zod';
import { RankshiftError } from '../../errors.ts';
import { type BlobSource, readDocument } from './blobs.ts';
import { type ImageDescription, parseConfiguration, parseDocument } from './description.ts';

/** manifest.json of `docker save` (moby, image/spec/v1.2.md, "Combined Image JSON + Filesystem Changeset Format"). */
const saveSchema = z
  .array(
    z.object({
      Config: z.string(),
      RepoTags: z.array(z.string()).nullish(),
      Layers: z.array(z.string()).min(1),
    }),
  )
  .min(1);

/**
 * Reads what a `docker save` archive says about its image.
 * @throws RankshiftError E_IMAGE on malformed or missing documents and on several images.
 */
export async function describeDocker(source: BlobSource): Promise<ImageDescription> {
  const images = parseDocument(saveSchema, await readDocument(source, 'manifest.json'), 'manifest.json');
  const [image, ...others] = images;
  if (image === undefined || others.length > 0) {
    const names = images.map((one) => one.RepoTags?.join(' ') ?? one.Config).join(', ');
    throw new RankshiftError('E_IMAGE', `the archive holds several images: ${names}`, {
      action: 'Save the one image that you want, with docker save NAME, and import that.',
    });
  }
  // The configuration's file is named by its digest, in both forms that Docker has written.
  const stated = /([0-9a-f]{64})(\.json)?$/.exec(image.Config)?.[1];
  const text = await readDocument(source, image.Config, stated === undefined ? undefined : `sha256:${stated}`);
  const { config, diffIds } = parseConfiguration(text);
  if (diffIds.length !== image.Layers.length) {
    throw new RankshiftError('E_IMAGE', `${image.Layers.length} layers, but ${diffIds.length} diff ids`);
  }
  const hex = stated ?? createHash('sha256').update(JSON.stringify(text)).digest('hex');
  const layers = image.Layers.map((blob, index) => ({ blob, diffId: diffIds[index] ?? '' }));
  return { digest: `sha256:${hex}`, config, source, layers };
}
