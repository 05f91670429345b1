/*
 * MPI_Wtime of every rank against rank 0 (clock_offset.h), again every --interval-ms for --seconds S; one sample is
 * --exchanges ping-pongs with each rank.
 */
#include <mpi.h>
#include <stdio.h>

#include "clock_offset.h"
#include "program.h"

static void lead(const struct program *program, double seconds, double interval_ms, int exchanges) {
  while (!program_over(program, seconds)) {
    for (int rank = 1; rank < program->ranks; rank++) {
      struct clock_offset sample = clock_offset_measure(rank, exchanges);
      printf("{\"t\":%.9f,\"rank\":%d,\"offsetNs\":%.0f,\"errorNs\":%.0f}\n", MPI_Wtime(), rank, sample.offset * 1e9,
             sample.error * 1e9);
    }
    sleep_us(interval_ms * 1000);
  }
  for (int rank = 1; rank < program->ranks; rank++) clock_offset_end(rank);
}

int main(int argc, char **argv) {
  struct option options[] = {
      {"--seconds", 10, 0, 86400},
      {"--interval-ms", 200, 0, 1e6},
      {"--exchanges", 200, 1, 1e6},
      {NULL, 0, 0, 0},
  };
  struct program program;
  program_start(&program, argc, argv, "DRIFT", 2, options);
  if (program.rank == 0) lead(&program, options[0].value, options[1].value, (int)options[2].value);
  while (program.rank != 0 && clock_offset_answer()) continue;
  return program_finish(&program, true);
}
