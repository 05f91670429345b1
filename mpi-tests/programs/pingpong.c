/*
 * An 8-byte token goes round all ranks (with two ranks: ping-pong) for --seconds S. Each rank watches the time between
 * two arrivals and reports the gaps of at least --gap-ms.
 */
#include <inttypes.h>
#include <mpi.h>
#include <stdio.h>

#include "gaps.h"
#include "program.h"

/* The token counts its rounds; this one ends the run. */
#define LAST INT64_MAX

int main(int argc, char **argv) {
  struct option options[] = {
      {"--seconds", 10, 0, 86400},
      {"--gap-ms", 50, 0, 1e6},
      {"--pause-us", 0, 0, 1e6}, /* rank 0 rests between rounds */
      {NULL, 0, 0, 0},
  };
  struct program program;
  static struct gaps gaps;
  program_start(&program, argc, argv, "PINGPONG", 2, options);
  int next = (program.rank + 1) % program.ranks, previous = (program.rank + program.ranks - 1) % program.ranks;
  int64_t wrong = 0, last_line = 0;
  gaps_start(&gaps, options[1].value);
  for (int64_t round = 1, token = 0; token != LAST; round++) {
    if (program.rank == 0) {
      token = program_over(&program, options[0].value) ? LAST : round;
      int64_t sent = token;
      MPI_Send(&sent, 1, MPI_INT64_T, next, 0, MPI_COMM_WORLD);
      MPI_Recv(&token, 1, MPI_INT64_T, previous, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      if (token != sent) wrong++;
      if (sent == LAST) token = LAST; /* end also where the token came back wrong */
    } else {
      MPI_Recv(&token, 1, MPI_INT64_T, previous, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      if (token != round && token != LAST) wrong++;
      MPI_Send(&token, 1, MPI_INT64_T, next, 0, MPI_COMM_WORLD);
    }
    gaps_exchange(&gaps);
    if (program.rank != 0) continue;
    if (program_second(&last_line))
      printf("{\"event\":\"progress\",\"exchanges\":%" PRId64 ",\"wtime\":%.6f}\n", gaps.exchanges, MPI_Wtime());
    sleep_us(options[2].value);
  }
  gaps_report(&gaps, &program);
  return program_finish(&program, wrong == 0);
}
