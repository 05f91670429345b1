/* What the programs share: options, the time that they run, sleeping, the last line. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

struct option {
  const char *name; /* with its dashes */
  double value;     /* default, then what was given */
  double least;
  double most;
};

struct program {
  const char *name;
  int rank;
  int ranks;
  int64_t monotonic_start; /* nanoseconds */
  int64_t realtime_start;
};

/* MPI_Init and options `--name number`; the list ends with a null name. Ends the program with code 2 on bad usage. */
void program_start(struct program *program, int argc, char **argv, const char *name, int least_ranks,
                   struct option *options);

/* Nanoseconds of CLOCK_MONOTONIC and CLOCK_REALTIME. */
int64_t monotonic_ns(void);
int64_t realtime_ns(void);

/*
 * Whether the program has run that long by either clock (one of them may be set back by a move that goes wrong), or got
 * SIGUSR1: a test ends it in good order as soon as it has seen enough.
 */
bool program_over(const struct program *program, double seconds);

/* True once a second, for a progress line; *last is the caller's memory of the last one, 0 at first. */
bool program_second(int64_t *last);

void sleep_us(double microseconds);

/* Prints the last line, ends MPI and returns the exit code of main: 0 verified, 1 not. Any rank can say no. */
int program_finish(const struct program *program, bool verified);

#endif
