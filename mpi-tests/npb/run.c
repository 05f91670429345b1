#include "run.h"

#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const char classes[] = "SWAB";

/* Every rank reaches this with the same arguments, so all of them can end in good order; only rank 0 speaks. */
static void refuse(const struct npb_run *run, const char *message) {
  if (run->rank == 0) fprintf(stderr, "%s\n", message);
  MPI_Finalize();
  exit(2);
}

void npb_start(struct npb_run *run, int argc, char **argv, const char *kernel) {
  MPI_Init(&argc, &argv);
  *run = (struct npb_run){.kernel = kernel, .repeat = 1};
  MPI_Comm_rank(MPI_COMM_WORLD, &run->rank);
  MPI_Comm_size(MPI_COMM_WORLD, &run->ranks);
  bool good = argc >= 2 && strlen(argv[1]) == 1 && strchr(classes, argv[1][0]) != NULL;
  if (good && argc > 2) {
    char *end = NULL;
    long repeat = argc == 4 && strcmp(argv[2], "--repeat") == 0 ? strtol(argv[3], &end, 10) : 0;
    good = end != NULL && *end == '\0' && repeat >= 1 && repeat <= 1000000;
    run->repeat = (int)repeat;
  }
  if (!good) refuse(run, "usage: ep|is|cg|mg|ft S|W|A|B [--repeat N]");
  run->class = argv[1][0];
  if (run->rank == 0) printf("NPB %s class=%c ranks=%d repeat=%d\n", kernel, run->class, run->ranks, run->repeat);
}

void npb_require_ranks(const struct npb_run *run, int most) {
  if (run->ranks <= most) return;
  char message[128];
  snprintf(message, sizeof message, "NPB %s class %c cannot run on %d ranks; at most %d have work", run->kernel,
           run->class, run->ranks, most);
  refuse(run, message);
}

int npb_class_index(const struct npb_run *run) { return (int)(strchr(classes, run->class) - classes); }

long npb_block_start(long count, int part, int parts) { return count * part / parts; }

void *npb_allocate(size_t count, size_t size) {
  void *memory = calloc(count > 0 ? count : 1, size);
  if (memory == NULL) {
    fprintf(stderr, "no memory for %zu bytes\n", count * size);
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  return memory;
}

void npb_section_start(struct npb_run *run, int repeat) {
  MPI_Barrier(MPI_COMM_WORLD);
  run->started = MPI_Wtime();
  if (run->rank == 0) printf("repeat %d\n", repeat);
}

void npb_section_end(struct npb_run *run) {
  MPI_Barrier(MPI_COMM_WORLD);
  run->seconds += MPI_Wtime() - run->started;
}

void npb_iteration(const struct npb_run *run, int iteration) {
  if (run->rank != 0) return;
  printf("iteration %d t=%.6f\n", iteration, MPI_Wtime());
  fflush(stdout);
}

void npb_value(const struct npb_run *run, const char *name, double value) {
  if (run->rank == 0) printf("value %s %.17g\n", name, value);
}

bool npb_close(const struct npb_run *run, const char *name, double value, double official, double tolerance) {
  npb_value(run, name, value);
  /* Written so that a value that is not a number fails. */
  bool close = fabs((value - official) / official) <= tolerance;
  if (!close && run->rank == 0) printf("mismatch %s is %.17g, official %.17g\n", name, value, official);
  return close;
}

int npb_finish(const struct npb_run *run, bool verified, const char *value) {
  int good = verified;
  MPI_Bcast(&good, 1, MPI_INT, 0, MPI_COMM_WORLD);
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  long peak = 0;
  MPI_Reduce(&usage.ru_maxrss, &peak, 1, MPI_LONG, MPI_MAX, 0, MPI_COMM_WORLD);
  if (run->rank == 0) {
    printf("memory largest_rank_mib=%.1f\n", (double)peak / 1024);
    printf("NPB %s class=%c ranks=%d seconds=%.3f value=%s VERIFICATION %s\n", run->kernel, run->class, run->ranks,
           run->seconds, value, good ? "SUCCESSFUL" : "FAILED");
    fflush(stdout);
  }
  MPI_Finalize();
  return good ? 0 : 1;
}

int npb_finish_number(const struct npb_run *run, bool verified, double value) {
  char text[40];
  snprintf(text, sizeof text, "%.16e", value);
  return npb_finish(run, verified, text);
}
