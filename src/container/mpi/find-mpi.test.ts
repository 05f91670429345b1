import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { findMpi, type ImageToSearch } from './find-mpi.ts';

/** An image of layers, bottom first: path -> target of a link, or '' for a file. */
function image(t: ExecutionContext, ...layers: Record<string, string>[]): ImageToSearch {
  const top = mkdtempSync(join(tmpdir(), 'rankshift-mpi-'));
  t.teardown(() => rmSync(top, { recursive: true }));
  const directories = layers.map((entries, index) => {
    for (const [path, target] of Object.entries(entries)) {
      const file = join(top, String(index), path);
      mkdirSync(dirname(file), { recursive: true });
      if (target === '') writeFileSync(file, '');
      else symlinkSync(target, file);
    }
    return join(top, String(index));
  });
  return { name: 'solver', layers: directories.reverse(), environment: ['LANG=C', 'PATH=/opt/own/bin:/usr/bin:/bin'] };
}

/** As Debian's packages lay them out, with its alternatives. */
const mpich = {
  'usr/bin/mpirun': '/etc/alternatives/mpirun',
  'etc/alternatives/mpirun': '/usr/bin/mpirun.mpich',
  'usr/bin/mpirun.mpich': 'mpiexec.hydra',
  'usr/bin/mpiexec.hydra': '',
};
const openMpi = {
  'usr/bin/mpirun': '/etc/alternatives/mpirun',
  'etc/alternatives/mpirun': '/usr/bin/mpirun.openmpi',
  'usr/bin/mpirun.openmpi': '',
  'usr/bin/ompi_info': '',
};

test('the MPI whose mpirun a shell would find', async (t) => {
  t.deepEqual(await findMpi(image(t, mpich), 'auto'), { mpi: 'mpich', starter: 'mpirun' });
  t.deepEqual(await findMpi(image(t, openMpi), 'auto'), { mpi: 'openmpi', starter: 'mpirun' });
  const own = { 'opt/own/bin/mpirun': '', 'opt/own/bin/ompi_info': '' };
  t.deepEqual(await findMpi(image(t, mpich, own), 'auto'), { mpi: 'openmpi', starter: 'mpirun' });
});

test('the one that is asked for, where an image has both', async (t) => {
  const both = image(t, mpich, { 'usr/bin/ompi_info': '', 'usr/bin/mpirun.openmpi': '' });
  t.deepEqual(await findMpi(both, 'auto'), { mpi: 'mpich', starter: 'mpirun' });
  t.deepEqual(await findMpi(both, 'mpich'), { mpi: 'mpich', starter: 'mpiexec.hydra' });
  t.deepEqual(await findMpi(both, 'openmpi'), { mpi: 'openmpi', starter: 'mpirun.openmpi' });
});

test('links that lead round in circles or to nowhere, and programs of neither, are no MPI', async (t) => {
  const strange = image(t, {
    'opt/own/bin/mpirun': '../bin/mpirun',
    'usr/bin/mpirun': '/nowhere',
    'bin/mpiexec': '../../../../bin/mpiexec.other',
    'bin/mpiexec.other': '',
  });
  await t.throwsAsync(findMpi(strange, 'auto'), { message: /^the image solver has no MPI/ });
  await t.throwsAsync(findMpi(strange, 'mpich'), { message: /has no MPICH in its PATH; it has no other either/ });
  await t.throwsAsync(findMpi(image(t, mpich), 'openmpi'), { message: /no Open MPI .* it has MPICH/ });
});
