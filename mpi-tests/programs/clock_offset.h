/*
 * MPI_Wtime of one rank against rank 0: of many ping-pongs the one with the smallest round trip counts. The offset is the
 * remote clock minus the middle of that round trip, and half of it bounds the error (Cristian's algorithm).
 * Open MPI counts MPI_Wtime from the start of each process, so an offset means nothing by itself: its change does.
 */
#ifndef CLOCK_OFFSET_H
#define CLOCK_OFFSET_H

#include <stdbool.h>
#include <stdint.h>

struct clock_offset {
  double offset;        /* seconds */
  double error;         /* seconds */
  int64_t realtime_ns;  /* CLOCK_REALTIME of rank 0 at the ping-pong that counts */
};

/* On rank 0: one sample of `exchanges` ping-pongs with a rank that is in clock_offset_answer. */
struct clock_offset clock_offset_measure(int rank, int exchanges);

/* On any other rank: answers one sample of rank 0. False where rank 0 has called clock_offset_end instead. */
bool clock_offset_answer(void);

/* On rank 0: makes clock_offset_answer of a rank return false. */
void clock_offset_end(int rank);

#endif
