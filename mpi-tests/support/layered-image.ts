import { z } from 'zod';
import type { Cluster } from './cluster.ts';

const recordSchema = z.object({ layers: z.array(z.string()) });

/**
 * Makes an image of the testbed's own layers and one more with so many MiB of noise, in the stores of these nodes.
 * @returns the digest of the further layer
 */
export async function layeredImage(cluster: Cluster, name: string, nodes: readonly string[], mib: number) {
  const [first = ''] = nodes;
  const archive = '/home/layer';
  const fill = `rm -rf ${archive} && mkdir -p ${archive}/opt/more/deep && head -c ${mib}M /dev/urandom >${archive}/opt/more/noise &&
    echo small >${archive}/opt/more/deep/small && ln ${archive}/opt/more/deep/small ${archive}/opt/more/linked && chmod 4711 ${archive}/opt/more/linked`;
  await cluster.output(first, ['sh', '-c', fill]);
  const register = `
    const { importImage } = await import('/opt/rankshift/dist/container/images/import.js');
    const { registerLayers } = await import('/opt/rankshift/dist/container/images/register.js');
    const { resolveImage } = await import('/opt/rankshift/dist/container/images/store.js');
    const store = '/var/lib/rankshift/images';
    const [mpi, more] = [await resolveImage(store, 'mpi'), await importImage(store, '${archive}', '${name}-layer')];
    const made = await registerLayers(store, '${name}', [...mpi.layers, ...more.layers], mpi.config);
    console.log(JSON.stringify(made));`;
  let digest = '';
  for (const node of nodes) {
    const node24 = '/opt/rankshift/node_modules/.bin/node';
    const text = await cluster.output(node, [node24, '--input-type=module', '--eval', register]);
    digest = recordSchema.parse(JSON.parse(text)).layers.at(-1) ?? '';
  }
  await cluster.output(first, ['rm', '-r', archive]);
  return digest;
}

/** Names in a directory of a node's image store, temporary ones too. */
export async function storeEntries(cluster: Cluster, node: string, directory: string): Promise<string[]> {
  const listed = await cluster.output(node, ['ls', '-A', `/var/lib/rankshift/images/${directory}`]);
  return listed.split('\n').filter(Boolean);
}
