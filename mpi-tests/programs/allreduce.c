/* A loop of small MPI_Allreduce for --seconds S; each rank reports the gaps of at least --gap-ms between two of them. */
#include <inttypes.h>
#include <mpi.h>
#include <stdio.h>

#include "gaps.h"
#include "program.h"

int main(int argc, char **argv) {
  struct option options[] = {
      {"--seconds", 10, 0, 86400},
      {"--gap-ms", 50, 0, 1e6},
      {"--pause-us", 0, 0, 1e6}, /* every rank rests between rounds */
      {NULL, 0, 0, 0},
  };
  struct program program;
  static struct gaps gaps;
  program_start(&program, argc, argv, "ALLREDUCE", 1, options);
  int64_t ranks = program.ranks, wrong = 0, last_line = 0;
  bool over = false;
  gaps_start(&gaps, options[1].value);
  for (int64_t round = 1; !over; round++) {
    /* A sum that only this round has, and rank 0's word whether it is the last. */
    int64_t mine[2] = {round * (program.rank + 1), 0}, all[2];
    if (program.rank == 0) mine[1] = program_over(&program, options[0].value);
    MPI_Allreduce(mine, all, 2, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
    if (all[0] != round * (ranks * (ranks + 1) / 2)) wrong++;
    over = all[1] != 0;
    gaps_exchange(&gaps);
    if (program.rank == 0 && program_second(&last_line))
      printf("{\"event\":\"progress\",\"exchanges\":%" PRId64 ",\"wtime\":%.6f}\n", gaps.exchanges, MPI_Wtime());
    sleep_us(options[2].value);
  }
  gaps_report(&gaps, &program);
  return program_finish(&program, wrong == 0);
}
