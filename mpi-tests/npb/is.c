/* NPB IS: ranks of integer keys by buckets: one sum over bucket sizes, one exchange of all keys per iteration. */
#include <inttypes.h>
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"
#include "run.h"

#define ITERATIONS 10
#define TESTS 5
#define LOG_BUCKETS 10
#define BUCKETS (1 << LOG_BUCKETS)

static const struct {
  int log_keys, log_max_key;
  long index[TESTS];  /* of a key in the global array */
  int64_t rank[TESTS];
  int sign[TESTS];    /* the rank expected in iteration i is rank + sign * (i + shift) */
  int shift[TESTS];
} classes[] = {
    {16, 11, {48427, 17148, 23627, 62548, 4431}, {0, 18, 346, 64917, 65463}, {1, 1, 1, -1, -1}, {0, 0, 0, 0, 0}},
    {20, 16, {357773, 934767, 875723, 898999, 404505}, {1249, 11698, 1039987, 1043896, 1048018},
     {1, 1, -1, -1, -1}, {-2, -2, 0, 0, 0}},
    {23, 19, {2112377, 662041, 5336171, 3642833, 4250760}, {104, 17523, 123928, 8288932, 8388264},
     {1, 1, 1, -1, -1}, {-1, -1, -1, -1, -1}},
    {25, 21, {41869, 812306, 5102857, 18232239, 26860214}, {33422937, 10244, 59149, 33135281, 99},
     {-1, 1, 1, -1, 1}, {0, 0, 0, 0, 0}},
};

static struct npb_run run;
static int class;
static long total, first_key, keys; /* all keys; the block of this rank */
static int shift;                   /* key >> shift is its bucket */
static int32_t *key;                /* as generated, changed by the iterations */
static int32_t *by_bucket;          /* the same keys, grouped by bucket */
static int32_t *received;           /* all keys of this rank's buckets */
static long received_room, received_count;
static int32_t *not_above;          /* for each key value of this rank's buckets: received keys <= it */
static int32_t value_first, value_end; /* key values of this rank's buckets */
static int64_t lower;               /* keys in the buckets of lower ranks */

static void generate(void) {
  double quarter = (double)(1 << classes[class].log_max_key) / 4;
  uint64_t state = random_skip(NPB_SEED, 4 * (uint64_t)first_key);
  for (long i = 0; i < keys; i++) {
    double sum = random_next(&state);
    for (int draw = 1; draw < 4; draw++) sum += random_next(&state);
    key[i] = (int32_t)(quarter * sum);
  }
}

/* Groups the keys by bucket, and puts the sizes of the buckets and the test keys of this rank into counts. */
static void fill_buckets(int32_t counts[BUCKETS + TESTS]) {
  int32_t place[BUCKETS];
  memset(counts, 0, sizeof(int32_t) * (BUCKETS + TESTS));
  for (long i = 0; i < keys; i++) counts[key[i] >> shift]++;
  for (int b = 0, sum = 0; b < BUCKETS; sum += counts[b++]) place[b] = sum;
  for (long i = 0; i < keys; i++) by_bucket[place[key[i] >> shift]++] = key[i];
  for (int t = 0; t < TESTS; t++) {
    long local = classes[class].index[t] - first_key;
    if (local >= 0 && local < keys) counts[BUCKETS + t] = key[local];
  }
}

/* Deals the buckets to the ranks in order, each rank about the same number of keys; sends every key to its rank. */
static void exchange(const int32_t *mine, const int32_t *all) {
  int send[run.ranks], send_at[run.ranks], receive[run.ranks], receive_at[run.ranks];
  int bucket = 0, sent = 0;
  int64_t dealt = 0;
  for (int rank = 0; rank < run.ranks; rank++) {
    if (rank == run.rank) {
      value_first = bucket << shift;
      lower = dealt;
    }
    send_at[rank] = sent;
    bool last = rank == run.ranks - 1;
    for (; bucket < BUCKETS && (last || dealt < npb_block_start(total, rank + 1, run.ranks)); bucket++) {
      dealt += all[bucket];
      sent += mine[bucket];
    }
    send[rank] = sent - send_at[rank];
    if (rank == run.rank) {
      value_end = bucket << shift;
      received_count = (long)(dealt - lower);
    }
  }
  MPI_Alltoall(send, 1, MPI_INT, receive, 1, MPI_INT, MPI_COMM_WORLD);
  for (int rank = 0, sum = 0; rank < run.ranks; sum += receive[rank++]) receive_at[rank] = sum;
  if (received_count > received_room) MPI_Abort(MPI_COMM_WORLD, 1);
  MPI_Alltoallv(by_bucket, send, send_at, MPI_INT32_T, received, receive, receive_at, MPI_INT32_T, MPI_COMM_WORLD);
}

/* One iteration; ranks[t] becomes the rank of test key t where this process has it, else 0. */
static void rank_keys(int iteration, int64_t ranks[TESTS]) {
  int32_t mine[BUCKETS + TESTS], all[BUCKETS + TESTS];
  if (run.rank == 0) {
    key[iteration] = iteration;
    key[iteration + ITERATIONS] = (1 << classes[class].log_max_key) - iteration;
  }
  fill_buckets(mine);
  MPI_Allreduce(mine, all, BUCKETS + TESTS, MPI_INT32_T, MPI_SUM, MPI_COMM_WORLD);
  exchange(mine, all);
  long values = value_end - value_first;
  memset(not_above, 0, sizeof(int32_t) * (size_t)values);
  for (long i = 0; i < received_count; i++) not_above[received[i] - value_first]++;
  for (long v = 1; v < values; v++) not_above[v] += not_above[v - 1];
  for (int t = 0; t < TESTS; t++) {
    int32_t test = all[BUCKETS + t];
    ranks[t] = 0;
    if (test < value_first || test >= value_end) continue;
    ranks[t] = lower + (test > value_first ? not_above[test - 1 - value_first] : 0);
  }
}

/* Puts the keys in order by their ranks, checks the order on and across ranks; sum of key * (place + 1) mod 2^64. */
static bool order_keys(uint64_t *checksum) {
  int32_t *ordered = npb_allocate((size_t)received_count, sizeof *ordered);
  for (long i = 0; i < received_count; i++) ordered[--not_above[received[i] - value_first]] = received[i];
  int32_t below = -1, highest = received_count > 0 ? ordered[received_count - 1] : -1;
  MPI_Exscan(&highest, &below, 1, MPI_INT32_T, MPI_MAX, MPI_COMM_WORLD);
  if (run.rank == 0) below = -1;
  int64_t mine[2] = {0, received_count}, all[2]; /* keys out of order, keys */
  uint64_t sum = 0;
  for (long i = 0; i < received_count; i++) {
    if (ordered[i] < (i > 0 ? ordered[i - 1] : below)) mine[0]++;
    sum += (uint64_t)ordered[i] * (uint64_t)(lower + i + 1);
  }
  MPI_Allreduce(mine, all, 2, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
  MPI_Allreduce(&sum, checksum, 1, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
  free(ordered);
  return all[0] == 0 && all[1] == total;
}

static bool verify(int64_t observed[ITERATIONS][TESTS]) {
  bool verified = true;
  for (int i = 0; i < ITERATIONS; i++) {
    for (int t = 0; t < TESTS; t++) {
      int64_t expected = classes[class].rank[t] + classes[class].sign[t] * (i + 1 + classes[class].shift[t]);
      if (run.rank == 0) printf("value rank_%d_%d %" PRId64 "\n", i + 1, t, observed[i][t]);
      if (observed[i][t] == expected) continue;
      verified = false;
      if (run.rank == 0) printf("mismatch rank_%d_%d official %" PRId64 "\n", i + 1, t, expected);
    }
  }
  return verified;
}

int main(int argc, char **argv) {
  npb_start(&run, argc, argv, "IS");
  class = npb_class_index(&run);
  npb_require_ranks(&run, 256);
  total = 1L << classes[class].log_keys;
  shift = classes[class].log_max_key - LOG_BUCKETS;
  first_key = npb_block_start(total, run.rank, run.ranks);
  keys = npb_block_start(total, run.rank + 1, run.ranks) - first_key;
  received_room = total / run.ranks + total / 64 + BUCKETS;
  key = npb_allocate((size_t)keys, sizeof *key);
  by_bucket = npb_allocate((size_t)keys, sizeof *by_bucket);
  received = npb_allocate((size_t)received_room, sizeof *received);
  not_above = npb_allocate((size_t)1 << classes[class].log_max_key, sizeof *not_above);
  bool verified = true;
  uint64_t checksum = 0;
  for (int repeat = 1; npb_again(&run, repeat); repeat++) {
    int64_t mine[ITERATIONS][TESTS], all[ITERATIONS][TESTS];
    generate(); /* the iterations overwrite keys, so each repetition starts from fresh ones */
    npb_section_start(&run, repeat);
    for (int i = 0; i < ITERATIONS; i++) {
      npb_iteration(&run, i + 1);
      rank_keys(i + 1, mine[i]);
    }
    npb_section_end(&run);
    MPI_Allreduce(mine, all, ITERATIONS * TESTS, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
    verified &= verify(all);
    bool ordered = order_keys(&checksum);
    verified &= ordered;
    if (run.rank == 0) printf("value ordered %d\nvalue checksum %" PRIu64 "\n", ordered, checksum);
  }
  char text[24];
  snprintf(text, sizeof text, "%" PRIu64, checksum);
  return npb_finish(&run, verified, text);
}
