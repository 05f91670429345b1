/* Gaps in the progress of each rank: how long it waited between two exchanges, by three clocks. */
#ifndef GAPS_H
#define GAPS_H

#include <stdint.h>

#include "program.h"

#define GAPS_KEPT 256
#define GAPS_BUCKETS 2400

struct gap {
  int64_t start_epoch_ns; /* CLOCK_REALTIME at the exchange before the gap */
  double monotonic_ms;
  double wtime_ms;
  double realtime_ms;
};

struct gaps {
  double least_ms; /* gaps shorter than this by all three clocks are not kept */
  int kept;
  struct gap gap[GAPS_KEPT]; /* the first ones, then the largest */
  struct gap largest;        /* by the largest of the three clocks */
  int64_t exchanges;
  int64_t bucket[GAPS_BUCKETS]; /* histogram of the intervals, 1 % wide, for the median */
  int64_t monotonic_ns, realtime_ns;
  double wtime;
};

void gaps_start(struct gaps *gaps, double least_ms);

/* Says that an exchange ended now. */
void gaps_exchange(struct gaps *gaps);

/*
 * Collective. Rank 0 prints one JSON line per kept gap of each rank
 * {"event":"gap","rank","startEpochNs","gapMs","wtimeGapMs","realtimeGapMs"} and per rank
 * {"event":"rank","rank","exchanges","medianUs","largestGapMs","gaps"}. gapMs is by CLOCK_MONOTONIC.
 */
void gaps_report(const struct gaps *gaps, const struct program *program);

#endif
