/* What the kernels share besides their numbers: arguments, progress, timing, verification, the last line. */
#ifndef NPB_RUN_H
#define NPB_RUN_H

#include <stdbool.h>
#include <stddef.h>

struct npb_run {
  const char *kernel;
  char class; /* S, W, A or B */
  int repeat;   /* how often the timed section runs at most */
  int lasts;    /* seconds after which no repeat begins; 0: no limit */
  bool drift;   /* print the clock offsets of all ranks at the start of each repeat */
  double begun; /* MPI_Wtime at the start of the program, seconds */
  int rank;
  int ranks;
  double started; /* MPI_Wtime at the start of the timed section, seconds */
  double seconds; /* sum over the timed sections that ended */
};

/* MPI_Init and arguments: CLASS [--repeat N] [--seconds S] [--drift]. Ends the program with code 2 on bad usage. */
void npb_start(struct npb_run *run, int argc, char **argv, const char *kernel);

/* Ends the program with exit code 2 where the decomposition has no work for all ranks. */
void npb_require_ranks(const struct npb_run *run, int most);

/* Which of the four classes, as an index: S 0, W 1, A 2, B 3. */
int npb_class_index(const struct npb_run *run);

/* First of the items of `part` when `count` items are dealt in contiguous blocks; the end is the start of part + 1. */
long npb_block_start(long count, int part, int parts);

/* calloc that ends the job when there is no memory. */
void *npb_allocate(size_t count, size_t size);

/*
 * Whether the repeat of this number (from 1) is to run: by --repeat, and with --seconds by rank 0's clock and SIGUSR1,
 * with which a test ends a run in good order. Collective.
 */
bool npb_again(const struct npb_run *run, int repeat);

/*
 * Starts and ends a timed section; all ranks call both. With --drift the start prints, for each rank but 0,
 * `drift rank=R offset_ns=N error_ns=N realtime_ns=N` (clock_offset.h).
 */
void npb_section_start(struct npb_run *run, int repeat);
void npb_section_end(struct npb_run *run);

/* Prints `iteration k t=SECONDS` from rank 0, flushed, so that a watcher sees progress. */
void npb_iteration(const struct npb_run *run, int iteration);

/* Prints `value NAME X` from rank 0 with all its bits (%.17g). */
void npb_value(const struct npb_run *run, const char *name, double value);

/* npb_value, and whether it is within the relative tolerance of the official value. */
bool npb_close(const struct npb_run *run, const char *name, double value, double official, double tolerance);

/* Prints the last line, ends MPI and returns the exit code of main: 0 verified, 1 not. Rank 0's `verified` counts. */
int npb_finish(const struct npb_run *run, bool verified, const char *value);

/* npb_finish with a floating-point value of 17 digits. */
int npb_finish_number(const struct npb_run *run, bool verified, double value);

#endif
