/*
 * Each rank fills --mib M of memory with data that depends on rank, page and version, rewrites --dirty-percent of its
 * pages per second, and joins an MPI_Allreduce every --step-ms. Some pages are checked each second, all at the end.
 * With --words N below 512, a page is the same N words over and over, for a compressor to find; with 0 it is all zeros.
 * With --rate-ms, rank 0 says that often how many exchanges there were.
 */
#include <inttypes.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "gaps.h"
#include "program.h"

#define PAGE 4096
#define WORDS (PAGE / 8)
#define SAMPLE 256 /* pages checked each second */

static uint64_t (*memory)[WORDS];
static uint32_t *version; /* how often each page was rewritten */
static int64_t pages;
static int rank;
static int words = WORDS; /* of a page that differ */

/* splitmix64 (Steele, Lea, Flood 2014): every word differs, so a page in the wrong place or of another time shows. */
static uint64_t next_word(uint64_t *state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

static uint64_t seed(int64_t page) {
  uint64_t state = ((uint64_t)rank << 48) + (uint64_t)page;
  return next_word(&state) + version[page];
}

/* Word i of a page, in the order of the words. */
static uint64_t word(int64_t page, int i, uint64_t *state) {
  if (words == 0) return 0;
  if (i % words == 0) *state = seed(page);
  return next_word(state);
}

static void write_page(int64_t page) {
  uint64_t state = 0;
  for (int i = 0; i < WORDS; i++) memory[page][i] = word(page, i, &state);
}

static bool page_good(int64_t page) {
  uint64_t state = 0;
  for (int i = 0; i < WORDS; i++)
    if (memory[page][i] != word(page, i, &state)) return false;
  return true;
}

/* A step through all pages in an order without neighbours, so that the written ones are spread evenly. */
static int64_t spread(int64_t counter) {
  const int64_t prime = 2654435761; /* coprime to any number of pages below it */
  return (int64_t)((uint64_t)(counter % pages) * (uint64_t)prime % (uint64_t)pages);
}

static void allocate(int64_t bytes) {
  pages = bytes / PAGE;
  memory = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  version = calloc((size_t)pages, sizeof *version);
  if (memory == MAP_FAILED || version == NULL) {
    fprintf(stderr, "memhog: rank %d: no memory for %" PRId64 " bytes\n", rank, bytes);
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  for (int64_t page = 0; page < pages; page++) write_page(page);
}

static int64_t check(int64_t from, int64_t count) {
  int64_t bad = 0;
  for (int64_t i = from; i < from + count; i++) {
    int64_t page = spread(i);
    if (page_good(page)) continue;
    bad++;
    printf("{\"event\":\"badPage\",\"rank\":%d,\"page\":%" PRId64 "}\n", rank, page);
    if (bad > 10) break; /* enough to see that it is so */
  }
  return bad;
}

int main(int argc, char **argv) {
  struct option options[] = {
      {"--seconds", 10, 0, 86400},  {"--mib", 64, 1, 1e6},      {"--dirty-percent", 10, 0, 10000},
      {"--step-ms", 10, 0, 1e6},    {"--gap-ms", 50, 0, 1e6},   {"--rate-ms", 0, 0, 1e6},
      {"--words", WORDS, 0, WORDS}, {NULL, 0, 0, 0},
  };
  struct program program;
  static struct gaps gaps;
  program_start(&program, argc, argv, "MEMHOG", 1, options);
  rank = program.rank;
  words = (int)options[6].value;
  allocate((int64_t)options[1].value * 1048576);
  MPI_Barrier(MPI_COMM_WORLD);
  program.monotonic_start = monotonic_ns(); /* filling does not count */
  program.realtime_start = realtime_ns();
  double pages_per_ns = (double)pages * options[2].value / 100 / 1e9, due = 0;
  int64_t ranks = program.ranks, wrong = 0, last_second = 0, last_step = monotonic_ns(), written = 0, checked = 0;
  int64_t rate_ns = rank == 0 ? (int64_t)(options[5].value * 1e6) : 0, last_rate = 0;
  bool over = false;
  gaps_start(&gaps, options[4].value);
  for (int64_t step = 1; !over; step++) {
    int64_t now = monotonic_ns(), elapsed = now - last_step;
    last_step = now;
    /* After a stop of any length at most a second's pages are due, else a move would be followed by a burst. */
    if (elapsed > 0) due += pages_per_ns * (double)(elapsed < 1000000000 ? elapsed : 1000000000);
    for (; due >= 1; due--) {
      int64_t page = spread(written++);
      version[page]++;
      write_page(page);
    }
    int64_t mine[2] = {step * (rank + 1), 0}, all[2];
    if (rank == 0) mine[1] = program_over(&program, options[0].value);
    MPI_Allreduce(mine, all, 2, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
    if (all[0] != step * (ranks * (ranks + 1) / 2)) wrong++;
    over = all[1] != 0;
    gaps_exchange(&gaps);
    if (rate_ns > 0 && now - last_rate >= rate_ns) {
      last_rate = now;
      printf("{\"event\":\"rate\",\"epochNs\":%" PRId64 ",\"exchanges\":%" PRId64 "}\n", realtime_ns(), gaps.exchanges);
    }
    if (program_second(&last_second)) {
      wrong += check(checked, pages < SAMPLE ? pages : SAMPLE);
      checked += SAMPLE;
      if (rank == 0)
        printf("{\"event\":\"progress\",\"exchanges\":%" PRId64 ",\"wtime\":%.6f}\n", gaps.exchanges, MPI_Wtime());
    }
    sleep_us(options[3].value * 1000);
  }
  wrong += check(0, pages);
  /* By one rank: lines of two that print at the same time may come in the middle of each other. */
  int64_t own[3] = {pages, written, wrong}, *each = calloc((size_t)ranks, sizeof own);
  if (each == NULL) MPI_Abort(MPI_COMM_WORLD, 1);
  MPI_Gather(own, 3, MPI_INT64_T, each, 3, MPI_INT64_T, 0, MPI_COMM_WORLD);
  for (int64_t i = 0; rank == 0 && i < ranks; i++)
    printf("{\"event\":\"memory\",\"rank\":%" PRId64 ",\"pages\":%" PRId64 ",\"written\":%" PRId64 ",\"wrong\":%" PRId64 "}\n",
           i, each[3 * i], each[3 * i + 1], each[3 * i + 2]);
  free(each);
  gaps_report(&gaps, &program);
  return program_finish(&program, wrong == 0);
}
