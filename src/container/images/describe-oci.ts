import { z } from 'zod';
import { RankshiftError } from '../../errors.ts';
import { type BlobSource, blobName, readDocument } from './blobs.ts';
import { type ImageDescription, parseConfiguration, parseDocument, platform } from './description.ts';
import { digestSchema } from './name.ts';

/** image-spec, descriptor.md. */
const descriptorSchema = z.object({
  digest: digestSchema,
  platform: z.object({ os: z.string(), architecture: z.string() }).optional(),
  annotations: z.record(z.string(), z.string()).nullish(),
});
type Descriptor = z.infer<typeof descriptorSchema>;

/** image-spec, image-index.md and manifest.md: an index has manifests, a manifest has a config and layers. */
const indexSchema = z.object({ manifests: z.array(descriptorSchema).min(1) });
const manifestSchema = z.object({ config: descriptorSchema, layers: z.array(descriptorSchema).min(1) });

const maximumDepth = 4;

/**
 * Reads what an OCI layout (directory or archive) says about its image for this platform.
 * @throws RankshiftError E_IMAGE on malformed or missing documents, wrong digests, several images.
 */
export async function describeOci(source: BlobSource): Promise<ImageDescription> {
  let document = await readDocument(source, 'index.json');
  for (let depth = 0; isIndex(document); depth++) {
    if (depth === maximumDepth) throw new RankshiftError('E_IMAGE', `more than ${maximumDepth} image indexes in a row`);
    const { manifests } = parseDocument(indexSchema, document, 'the image index');
    const { digest } = choose(manifests);
    document = await readDocument(source, blobName(digest), digest);
  }
  const manifest = parseDocument(manifestSchema, document, 'the image manifest');
  const { digest } = manifest.config;
  const { config, diffIds } = parseConfiguration(await readDocument(source, blobName(digest), digest));
  if (diffIds.length !== manifest.layers.length) {
    throw new RankshiftError('E_IMAGE', `${manifest.layers.length} layers, but ${diffIds.length} diff ids`);
  }
  const layers = manifest.layers.map((layer, index) => ({
    blob: blobName(layer.digest),
    digest: layer.digest,
    diffId: diffIds[index] ?? '',
  }));
  return { digest, config, source, layers };
}

function isIndex(document: unknown): boolean {
  return typeof document === 'object' && document !== null && 'manifests' in document;
}

/** The one manifest for this platform; attestations and other platforms do not count. */
function choose(manifests: Descriptor[]): Descriptor {
  const fits = manifests.filter(
    ({ platform: p }) => p === undefined || (p.os === platform.os && p.architecture === platform.architecture),
  );
  const [first, ...others] = fits;
  if (first !== undefined && others.every((other) => other.digest === first.digest)) return first;
  const platforms = manifests.map(({ platform: p }) => `${p?.os}/${p?.architecture}`).join(', ');
  if (first === undefined) {
    const here = `${platform.os}/${platform.architecture}`;
    throw new RankshiftError('E_IMAGE', `no image for ${here}; there are: ${platforms}`);
  }
  const names = fits.map((one) => one.annotations?.['org.opencontainers.image.ref.name'] ?? one.digest).join(', ');
  throw new RankshiftError('E_IMAGE', `the source holds several images: ${names}`, {
    action: 'Export the one image that you want, for example with skopeo copy, and import that.',
  });
}
