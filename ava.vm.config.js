// Tests on virtual machines, which are emulated: scripts/test --vm.
export default {
  files: ['mpi-tests/vm/**/*.test.ts'],
  extensions: ['ts'],
  concurrency: 1,
  serial: true,
  timeout: '10m',
  workerThreads: false,
};
