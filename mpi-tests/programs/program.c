#include "program.h"

#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile sig_atomic_t told_to_end;

static void on_usr1(int signal) {
  (void)signal;
  told_to_end = 1;
}

static int64_t clock_ns(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int64_t monotonic_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

int64_t realtime_ns(void) { return clock_ns(CLOCK_REALTIME); }

/* Every rank reaches this with the same arguments, so all of them can end in good order; only rank 0 speaks. */
static void usage(const struct program *program, int least_ranks, const struct option *options) {
  if (program->rank == 0) {
    fprintf(stderr, "usage: %s on at least %d ranks, with options\n", program->name, least_ranks);
    for (; options->name != NULL; options++)
      fprintf(stderr, "  %s NUMBER (from %g to %g)\n", options->name, options->least, options->most);
  }
  MPI_Finalize();
  exit(2);
}

static bool set_option(struct option *options, const char *name, const char *text) {
  for (; options->name != NULL; options++) {
    if (strcmp(options->name, name) != 0) continue;
    char *end;
    options->value = strtod(text, &end);
    return end != text && *end == '\0' && options->value >= options->least && options->value <= options->most;
  }
  return false;
}

void program_start(struct program *program, int argc, char **argv, const char *name, int least_ranks,
                   struct option *options) {
  MPI_Init(&argc, &argv);
  program->name = name;
  MPI_Comm_rank(MPI_COMM_WORLD, &program->rank);
  MPI_Comm_size(MPI_COMM_WORLD, &program->ranks);
  struct sigaction action = {.sa_handler = on_usr1, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL); /* after MPI_Init, which may set handlers of its own */
  bool good = argc % 2 == 1 && program->ranks >= least_ranks;
  for (int i = 1; good && i + 1 < argc; i += 2) good = set_option(options, argv[i], argv[i + 1]);
  if (!good) usage(program, least_ranks, options);
  setvbuf(stdout, NULL, _IOLBF, 0); /* a watcher sees each line at once, also through a pipe */
  MPI_Barrier(MPI_COMM_WORLD);
  program->monotonic_start = monotonic_ns();
  program->realtime_start = realtime_ns();
}

bool program_over(const struct program *program, double seconds) {
  return told_to_end || (double)(monotonic_ns() - program->monotonic_start) >= seconds * 1e9 ||
         (double)(realtime_ns() - program->realtime_start) >= seconds * 1e9;
}

bool program_second(int64_t *last) {
  int64_t now = realtime_ns();
  if (*last != 0 && now - *last < 1000000000) return false;
  *last = now;
  return true;
}

void sleep_us(double microseconds) {
  if (microseconds <= 0) return;
  int64_t ns = (int64_t)(microseconds * 1000);
  struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
  nanosleep(&time, NULL);
}

int program_finish(const struct program *program, bool verified) {
  int mine = verified, all = 0;
  MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_LAND, MPI_COMM_WORLD);
  if (program->rank == 0) {
    printf("%s ranks=%d VERIFICATION %s\n", program->name, program->ranks, all ? "SUCCESSFUL" : "FAILED");
    fflush(stdout);
  }
  MPI_Finalize();
  return all ? 0 : 1;
}
