#include "gaps.h"

#include <inttypes.h>
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <string.h>

/* Bucket b of the histogram holds intervals around 100 ns * 1.01^b. */
static const double shortest_ns = 100, width = 1.01;

void gaps_start(struct gaps *gaps, double least_ms) {
  memset(gaps, 0, sizeof *gaps);
  gaps->least_ms = least_ms;
  gaps->monotonic_ns = monotonic_ns();
  gaps->realtime_ns = realtime_ns();
  gaps->wtime = MPI_Wtime();
}

static double length_ms(const struct gap *gap) { return fmax(gap->monotonic_ms, fmax(gap->wtime_ms, gap->realtime_ms)); }

static void keep(struct gaps *gaps, const struct gap *gap) {
  if (gaps->kept < GAPS_KEPT) {
    gaps->gap[gaps->kept++] = *gap;
    return;
  }
  struct gap *smallest = gaps->gap;
  for (int i = 1; i < GAPS_KEPT; i++)
    if (length_ms(&gaps->gap[i]) < length_ms(smallest)) smallest = &gaps->gap[i];
  if (length_ms(gap) > length_ms(smallest)) *smallest = *gap;
}

void gaps_exchange(struct gaps *gaps) {
  int64_t monotonic = monotonic_ns(), realtime = realtime_ns();
  double wtime = MPI_Wtime();
  struct gap gap = {
      .start_epoch_ns = gaps->realtime_ns,
      .monotonic_ms = (double)(monotonic - gaps->monotonic_ns) / 1e6,
      .wtime_ms = (wtime - gaps->wtime) * 1e3,
      .realtime_ms = (double)(realtime - gaps->realtime_ns) / 1e6,
  };
  gaps->monotonic_ns = monotonic;
  gaps->realtime_ns = realtime;
  gaps->wtime = wtime;
  gaps->exchanges++;
  double bucket = log(fmax(gap.monotonic_ms * 1e6 / shortest_ns, 1)) / log(width);
  gaps->bucket[bucket < GAPS_BUCKETS ? (int)bucket : GAPS_BUCKETS - 1]++;
  if (length_ms(&gap) > length_ms(&gaps->largest)) gaps->largest = gap;
  if (length_ms(&gap) >= gaps->least_ms) keep(gaps, &gap);
}

static double median_us(const struct gaps *gaps) {
  int64_t below = 0;
  for (int b = 0; b < GAPS_BUCKETS; b++) {
    below += gaps->bucket[b];
    if (2 * below >= gaps->exchanges) return shortest_ns * pow(width, b + 0.5) / 1e3;
  }
  return 0;
}

static void print_rank(int rank, const struct gaps *gaps) {
  for (int i = 0; i < gaps->kept; i++) {
    const struct gap *gap = &gaps->gap[i];
    printf("{\"event\":\"gap\",\"rank\":%d,\"startEpochNs\":%" PRId64
           ",\"gapMs\":%.6f,\"wtimeGapMs\":%.6f,\"realtimeGapMs\":%.6f}\n",
           rank, gap->start_epoch_ns, gap->monotonic_ms, gap->wtime_ms, gap->realtime_ms);
  }
  printf("{\"event\":\"rank\",\"rank\":%d,\"exchanges\":%" PRId64
         ",\"medianUs\":%.3f,\"largestGapMs\":%.6f,\"gaps\":%d}\n",
         rank, gaps->exchanges, median_us(gaps), length_ms(&gaps->largest), gaps->kept);
}

void gaps_report(const struct gaps *gaps, const struct program *program) {
  int bytes = (int)sizeof *gaps;
  if (program->rank != 0) {
    MPI_Send(gaps, bytes, MPI_BYTE, 0, 99, MPI_COMM_WORLD);
    return;
  }
  print_rank(0, gaps);
  struct gaps other;
  for (int rank = 1; rank < program->ranks; rank++) {
    MPI_Recv(&other, bytes, MPI_BYTE, rank, 99, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    print_rank(rank, &other);
  }
}
