// Tests on a real testbed: one file after another, one test after another, since all share two cores.
export default {
  files: ['mpi-tests/**/*.test.ts', '!mpi-tests/vm/**'],
  extensions: ['ts'],
  concurrency: 1,
  serial: true,
  timeout: '10m',
  workerThreads: false,
};
