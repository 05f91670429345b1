import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';

const call = promisify(execFile);
const shim = resolve('build/bin/rankshift-mpi.so');
let dir = '';

test.before(() => {
  dir = mkdtempSync(join(tmpdir(), 'rankshift-shim-'));
});
test.after.always(() => rmSync(dir, { recursive: true, force: true }));

async function compile(name: string, source: string, flags: string[] = []): Promise<string> {
  writeFileSync(join(dir, `${name}.c`), source);
  await call('gcc', ['-Wall', '-Werror', '-o', join(dir, name), join(dir, `${name}.c`), ...flags]);
  return join(dir, name);
}

/** An MPI of which only the calls are true: it adds its arguments up. */
const fakeMpi = `
int MPI_Init(int *argc, char ***argv) { return 0; }
int MPI_Sendrecv(void *a, int b, long c, int d, int e, void *f, int g, long h, int i, int j, long k, void *l) {
  return (a != 0) + b + c + d + e + (f != 0) + g + h + i + j + k + (l != 0);
}
void mpi_barrier_(int *comm, int *error) { *error = *comm + 1; }
double MPI_Wtime(void) { return 1234.5; }
`;

const program = `
#include <stdio.h>
int MPI_Init(int *, char ***);
int MPI_Sendrecv(void *, int, long, int, int, void *, int, long, int, int, long, void *);
void mpi_barrier_(int *, int *);
double MPI_Wtime(void);
int main(int argc, char **argv) {
  int comm = 41, error = 0;
  MPI_Init(&argc, &argv);
  int sum = MPI_Sendrecv(argv, 2, 4, 8, 16, argv, 32, 64, 128, 256, 512, argv);
  mpi_barrier_(&comm, &error);
  printf("%d %d %.1f\\n", sum, error, MPI_Wtime());
  return 0;
}
`;

/** The same calls by way of a plugin that is loaded for itself alone, as Python loads its modules. */
const host = `
#include <dlfcn.h>
#include <stdio.h>
int main(int argc, char **argv) {
  void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (plugin == NULL) { puts(dlerror()); return 1; }
  return ((int (*)(int, char **))dlsym(plugin, "run"))(argc, argv);
}
`;

test('calls go through with all their arguments, also to an MPI that was loaded for one library alone', async (t) => {
  t.true(existsSync(shim), 'scripts/build-c');
  const mpi = await compile('libfake.so', fakeMpi, ['-shared', '-fPIC']);
  const linked = await compile('linked', program, [mpi, `-Wl,-rpath,${dir}`]);
  const plugin = await compile('plugin.so', program.replace('main(', 'run('), [
    ...['-shared', '-fPIC', mpi, `-Wl,-rpath,${dir}`],
  ]);
  const loader = await compile('loader', host);
  const env = { PATH: '/bin', LD_PRELOAD: shim };
  for (const argv of [[linked], [loader, plugin]]) {
    const { stdout, stderr } = await call(argv[0] ?? '', argv.slice(1), { env });
    t.is(stderr, '');
    // Without a page MPI_Wtime is MPI's own.
    t.is(stdout, '1025 42 1234.5\n', argv.join(' '));
  }
});

test('a profiler between program and MPI keeps its place', async (t) => {
  const mpi = await compile('libfake2.so', fakeMpi, ['-shared', '-fPIC']);
  const profiler = await compile(
    'profiler.so',
    'int MPI_Sendrecv(void *a, int b, long c, int d, int e, void *f, int g, long h, int i, int j, long k, void *l) { return 7; }',
    ['-shared', '-fPIC'],
  );
  const linked = await compile('linked2', program, [mpi, `-Wl,-rpath,${dir}`]);
  const { stdout } = await call(linked, [], { env: { PATH: '/bin', LD_PRELOAD: `${shim}:${profiler}` } });
  t.is(stdout, '7 42 1234.5\n');
});

test('it is linked with nothing, and programs without MPI do not notice it', async (t) => {
  const { stdout } = await call('readelf', ['--dynamic', '--dyn-syms', '--wide', shim]);
  t.notRegex(stdout, /\(NEEDED\)/);
  t.notRegex(stdout, /@GLIBC/);
  const needs = stdout.split('\n').flatMap((line) => / UND (\w+)/.exec(line)?.[1] ?? []);
  t.deepEqual(needs.toSorted(), [
    ...['_exit', 'clock_gettime', 'close', 'dl_iterate_phdr', 'getpid', 'kill', 'lseek', 'mmap', 'munmap', 'nanosleep'],
    ...['open', 'sched_yield', 'strcmp', 'strlen', 'write'],
  ]);
  const ran = await call('/bin/sh', ['-c', 'echo fine'], { env: { LD_PRELOAD: shim } });
  t.deepEqual(ran, { stdout: 'fine\n', stderr: '' });
});
