#include "clock_offset.h"

#include <mpi.h>
#include <time.h>

enum { EXCHANGE, SAMPLE_END, RUN_END }; /* what rank 0 sends */

enum { TAG = 4711 }; /* apart from the messages of the program */

static int64_t realtime_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* A waiting rank sleeps between looks, since Open MPI would spin and the machine may have fewer cores than ranks. */
static void sleep_before_looking(void) { nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL); }

struct clock_offset clock_offset_measure(int rank, int exchanges) {
  struct clock_offset best = {.error = 1e300};
  int command = EXCHANGE;
  for (int i = 0; i < exchanges; i++) {
    double remote, before = MPI_Wtime();
    MPI_Send(&command, 1, MPI_INT, rank, TAG, MPI_COMM_WORLD);
    MPI_Recv(&remote, 1, MPI_DOUBLE, rank, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    double after = MPI_Wtime(), error = (after - before) / 2;
    if (error >= best.error) continue;
    best = (struct clock_offset){remote - (before + after) / 2, error, realtime_now()};
  }
  command = SAMPLE_END;
  MPI_Send(&command, 1, MPI_INT, rank, TAG, MPI_COMM_WORLD);
  return best;
}

bool clock_offset_answer(void) {
  for (int command = SAMPLE_END;;) {
    int here = command == EXCHANGE; /* the next ping follows at once */
    while (!here) {
      MPI_Iprobe(0, TAG, MPI_COMM_WORLD, &here, MPI_STATUS_IGNORE);
      if (!here) sleep_before_looking();
    }
    MPI_Recv(&command, 1, MPI_INT, 0, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    if (command != EXCHANGE) return command == SAMPLE_END;
    double now = MPI_Wtime();
    MPI_Send(&now, 1, MPI_DOUBLE, 0, TAG, MPI_COMM_WORLD);
  }
}

void clock_offset_end(int rank) {
  int command = RUN_END;
  MPI_Send(&command, 1, MPI_INT, rank, TAG, MPI_COMM_WORLD);
}
