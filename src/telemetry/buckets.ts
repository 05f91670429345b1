/** Upper bounds of histograms, in the units that Prometheus wants: seconds and bytes. */
export const buckets = {
  /** Of a freeze: 10 ms to 2 minutes. */
  freeze: [0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30, 60, 120],
  /** Of a whole move, of waiting, of a command: 10 ms to an hour. */
  life: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600],
  /** Of waiting for a window: to three days. */
  queue: [0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 14_400, 43_200, 86_400, 259_200],
  /** 1 MiB to 256 GiB. */
  bytes: Array.from({ length: 10 }, (_, index) => 2 ** 20 * 4 ** index),
  /** Of clocks: a microsecond to a second. */
  clock: [1e-6, 5e-6, 1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 5e-3, 0.01, 0.1, 1],
  /** Measured by predicted. */
  ratio: [0.25, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.5, 2, 4],
};
