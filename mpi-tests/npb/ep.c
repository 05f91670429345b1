/* NPB EP: Gaussian deviates by the acceptance-rejection method, tallied in square annuli. No communication but three sums. */
#include <math.h>
#include <mpi.h>
#include <stdint.h>

#include "random.h"
#include "run.h"

#define SEED 271828183u
#define PAIRS_PER_BLOCK 65536
#define ANNULI 10
/* Progress lines of one run; the blocks of rank 0 are dealt to them evenly. */
#define ITERATIONS 16

static const struct {
  int log_pairs;
  double sum_x, sum_y, accepted;
} classes[] = {
    {24, -3.247834652034740e3, -6.958407078382297e3, 13176389},
    {25, -2.863319731645753e3, -6.320053679109499e3, 26354769},
    {28, -4.295875165629892e3, -1.580732573678431e4, 210832767},
    {30, 4.033815542441498e4, -2.660669192809235e4, 843345606},
};

struct tally {
  double sum[2];
  int64_t annulus[ANNULI];
};

static void tally_block(long block, struct tally *tally) {
  uint64_t state = random_skip(SEED, (uint64_t)block * 2 * PAIRS_PER_BLOCK);
  for (int pair = 0; pair < PAIRS_PER_BLOCK; pair++) {
    double x = 2 * random_next(&state) - 1;
    double y = 2 * random_next(&state) - 1;
    double square = x * x + y * y;
    if (square > 1) continue;
    double factor = sqrt(-2 * log(square) / square);
    x *= factor;
    y *= factor;
    double ax = fabs(x), ay = fabs(y);
    tally->annulus[(int)(ax > ay ? ax : ay)]++;
    tally->sum[0] += x;
    tally->sum[1] += y;
  }
}

static struct tally tally_all(const struct npb_run *run, long blocks) {
  struct tally mine = {0}, all;
  long first = npb_block_start(blocks, run->rank, run->ranks);
  long count = npb_block_start(blocks, run->rank + 1, run->ranks) - first;
  for (int iteration = 0; iteration < ITERATIONS; iteration++) {
    npb_iteration(run, iteration + 1);
    long end = npb_block_start(count, iteration + 1, ITERATIONS);
    for (long block = npb_block_start(count, iteration, ITERATIONS); block < end; block++)
      tally_block(first + block, &mine);
  }
  MPI_Allreduce(mine.sum, all.sum, 2, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  MPI_Allreduce(mine.annulus, all.annulus, ANNULI, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
  return all;
}

int main(int argc, char **argv) {
  struct npb_run run;
  npb_start(&run, argc, argv, "EP");
  int class = npb_class_index(&run);
  long blocks = (1L << classes[class].log_pairs) / PAIRS_PER_BLOCK;
  npb_require_ranks(&run, (int)blocks);
  bool verified = true;
  struct tally tally = {0};
  for (int repeat = 1; npb_again(&run, repeat); repeat++) {
    npb_section_start(&run, repeat);
    tally = tally_all(&run, blocks);
    npb_section_end(&run);
    double accepted = 0;
    for (int i = 0; i < ANNULI; i++) {
      npb_value(&run, "annulus", (double)tally.annulus[i]);
      accepted += (double)tally.annulus[i];
    }
    verified &= npb_close(&run, "accepted", accepted, classes[class].accepted, 0);
    verified &= npb_close(&run, "sum_x", tally.sum[0], classes[class].sum_x, 1e-8);
    verified &= npb_close(&run, "sum_y", tally.sum[1], classes[class].sum_y, 1e-8);
  }
  return npb_finish_number(&run, verified, tally.sum[0]);
}
