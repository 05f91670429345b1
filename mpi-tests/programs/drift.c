/*
 * MPI_Wtime of every rank against rank 0, again every --interval-ms for --seconds S. One sample is --exchanges
 * ping-pongs with each rank; the one with the smallest round trip counts: the offset is the remote clock minus the
 * middle of the round trip, and half the round trip bounds the error (Cristian's algorithm).
 */
#include <mpi.h>
#include <stdio.h>

#include "program.h"

enum { EXCHANGE, SAMPLE_END, RUN_END }; /* what rank 0 sends */

/* A waiting rank sleeps between looks, since Open MPI would spin and the machine may have fewer cores than ranks. */
static const double look_us = 500;

static void measure(int rank, int exchanges) {
  double best = 1e300, offset = 0;
  int command = EXCHANGE;
  for (int i = 0; i < exchanges; i++) {
    double remote, before = MPI_Wtime();
    MPI_Send(&command, 1, MPI_INT, rank, 0, MPI_COMM_WORLD);
    MPI_Recv(&remote, 1, MPI_DOUBLE, rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    double after = MPI_Wtime();
    if (after - before >= best) continue;
    best = after - before;
    offset = remote - (before + after) / 2;
  }
  command = SAMPLE_END;
  MPI_Send(&command, 1, MPI_INT, rank, 0, MPI_COMM_WORLD);
  printf("{\"t\":%.9f,\"rank\":%d,\"offsetNs\":%.0f,\"errorNs\":%.0f}\n", MPI_Wtime(), rank, offset * 1e9,
         best / 2 * 1e9);
}

static void lead(const struct program *program, double seconds, double interval_ms, int exchanges) {
  int end = RUN_END;
  while (!program_over(program, seconds)) {
    for (int rank = 1; rank < program->ranks; rank++) measure(rank, exchanges);
    sleep_us(interval_ms * 1000);
  }
  for (int rank = 1; rank < program->ranks; rank++) MPI_Send(&end, 1, MPI_INT, rank, 0, MPI_COMM_WORLD);
}

static void answer(void) {
  for (int command = SAMPLE_END; command != RUN_END;) {
    int here = command == EXCHANGE;
    while (!here) {
      MPI_Iprobe(0, 0, MPI_COMM_WORLD, &here, MPI_STATUS_IGNORE);
      if (!here) sleep_us(look_us);
    }
    MPI_Recv(&command, 1, MPI_INT, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    if (command != EXCHANGE) continue;
    double now = MPI_Wtime();
    MPI_Send(&now, 1, MPI_DOUBLE, 0, 0, MPI_COMM_WORLD);
  }
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
  else answer();
  return program_finish(&program, true);
}
