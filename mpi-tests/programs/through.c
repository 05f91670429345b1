/*
 * What a library between program and MPI costs: round trips of 8 bytes between ranks 0 and 1, in blocks that go by
 * MPI_Send and MPI_Recv and blocks that go by PMPI_Send and PMPI_Recv, which nothing stands before, in the order ABBA.
 * A block counts by its median round trip.
 */
#include <inttypes.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

#include "program.h"

enum { BLOCK = 200, MOST_PAIRS = 20000 };

static double ratios[MOST_PAIRS], through[MOST_PAIRS], direct[MOST_PAIRS];

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values, int count) {
  qsort(values, (size_t)count, sizeof *values, ascending);
  return count == 0 ? 0 : (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static double block(int rank, bool by_pmpi) {
  double us[BLOCK];
  int64_t token = 0;
  for (int i = 0; i < BLOCK; i++) {
    int64_t start = monotonic_ns();
    if (by_pmpi) {
      if (rank == 0) PMPI_Send(&token, 1, MPI_INT64_T, 1, 0, MPI_COMM_WORLD);
      PMPI_Recv(&token, 1, MPI_INT64_T, 1 - rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      if (rank == 1) PMPI_Send(&token, 1, MPI_INT64_T, 0, 0, MPI_COMM_WORLD);
    } else {
      if (rank == 0) MPI_Send(&token, 1, MPI_INT64_T, 1, 0, MPI_COMM_WORLD);
      MPI_Recv(&token, 1, MPI_INT64_T, 1 - rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      if (rank == 1) MPI_Send(&token, 1, MPI_INT64_T, 0, 0, MPI_COMM_WORLD);
    }
    us[i] = (double)(monotonic_ns() - start) / 1000;
  }
  return median(us, BLOCK);
}

int main(int argc, char **argv) {
  struct option options[] = {{"--seconds", 5, 0, 86400}, {NULL, 0, 0, 0}};
  struct program program;
  program_start(&program, argc, argv, "THROUGH", 2, options);
  int pairs = 0;
  for (int over = 0; !over && pairs < MOST_PAIRS; pairs++) {
    double first, second;
    bool swapped = pairs % 2 == 1;
    if (program.rank < 2) {
      first = block(program.rank, swapped);
      second = block(program.rank, !swapped);
      through[pairs] = swapped ? second : first;
      direct[pairs] = swapped ? first : second;
      ratios[pairs] = through[pairs] / direct[pairs];
    }
    if (program.rank == 0) over = program_over(&program, options[0].value);
    MPI_Bcast(&over, 1, MPI_INT, 0, MPI_COMM_WORLD);
  }
  if (program.rank == 0)
    printf("{\"event\":\"through\",\"pairs\":%d,\"ratio\":%.6f,\"throughUs\":%.3f,\"directUs\":%.3f}\n", pairs,
           median(ratios, pairs), median(through, pairs), median(direct, pairs));
  return program_finish(&program, true);
}
