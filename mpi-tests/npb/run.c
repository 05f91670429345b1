#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "clock_offset.h"

static const char classes[] = "SWAB";

/* Ping-pongs with each rank for one sample of --drift: some 10 ms, of which the shortest counts. */
static const int exchanges = 100;

static volatile sig_atomic_t told_to_end;

static void on_usr1(int signal) {
  (void)signal;
  told_to_end = 1;
}

/* Every rank reaches this with the same arguments, so all of them can end in good order; only rank 0 speaks. */
static void refuse(const struct npb_run *run, const char *message) {
  if (run->rank == 0) fprintf(stderr, "%s\n", message);
  MPI_Finalize();
  exit(2);
}

/* A whole number from 1 to `most`, else 0. */
static int number(const char *text, int most) {
  char *end = NULL;
  long value = text == NULL ? 0 : strtol(text, &end, 10);
  return value >= 1 && value <= most && *end == '\0' ? (int)value : 0;
}

static bool take_arguments(struct npb_run *run, int argc, char **argv) {
  if (argc < 2 || strlen(argv[1]) != 1 || strchr(classes, argv[1][0]) == NULL) return false;
  run->class = argv[1][0];
  for (int i = 2; i < argc; i++) {
    if (strcmp(argv[i], "--drift") == 0) {
      run->drift = true;
    } else if (strcmp(argv[i], "--repeat") == 0) {
      run->repeat = number(argv[++i], 1000000);
      if (run->repeat == 0) return false;
    } else if (strcmp(argv[i], "--seconds") == 0) {
      run->lasts = number(argv[++i], 86400);
      if (run->lasts == 0) return false;
    } else {
      return false;
    }
  }
  if (run->repeat == 0) run->repeat = run->lasts > 0 ? 1000000 : 1;
  return true;
}

void npb_start(struct npb_run *run, int argc, char **argv, const char *kernel) {
  MPI_Init(&argc, &argv);
  *run = (struct npb_run){.kernel = kernel};
  MPI_Comm_rank(MPI_COMM_WORLD, &run->rank);
  MPI_Comm_size(MPI_COMM_WORLD, &run->ranks);
  if (!take_arguments(run, argc, argv))
    refuse(run, "usage: ep|is|cg|mg|ft S|W|A|B [--repeat N] [--seconds S] [--drift]");
  struct sigaction action = {.sa_handler = on_usr1, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL); /* after MPI_Init, which may set handlers of its own */
  run->begun = MPI_Wtime();
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

bool npb_again(const struct npb_run *run, int repeat) {
  if (repeat > run->repeat) return false;
  if (repeat == 1 || run->lasts == 0) return true;
  int again = !told_to_end && MPI_Wtime() - run->begun < run->lasts;
  MPI_Bcast(&again, 1, MPI_INT, 0, MPI_COMM_WORLD);
  return again;
}

static void print_drift(const struct npb_run *run) {
  if (run->rank != 0) {
    clock_offset_answer();
    return;
  }
  for (int rank = 1; rank < run->ranks; rank++) {
    struct clock_offset sample = clock_offset_measure(rank, exchanges);
    printf("drift rank=%d offset_ns=%.0f error_ns=%.0f realtime_ns=%" PRId64 "\n", rank, sample.offset * 1e9,
           sample.error * 1e9, sample.realtime_ns);
  }
  fflush(stdout);
}

void npb_section_start(struct npb_run *run, int repeat) {
  if (run->drift) print_drift(run);
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
