/* NPB MG: V-cycles of a multigrid for the discrete Poisson equation on a periodic cube. Planes of z in blocks. */
#include <mpi.h>
#include <stdint.h>

#include "mg_grid.h"
#include "random.h"
#include "run.h"

#define CHARGES 10
#define MOST_LEVELS 8

static const struct {
  int log_n, iterations;
  double smoother[3], norm;
} classes[] = {
    {5, 4, {-3.0 / 8, 1.0 / 32, -1.0 / 64}, 0.5307707005734e-4},
    {7, 4, {-3.0 / 8, 1.0 / 32, -1.0 / 64}, 0.6467329375339e-5},
    {8, 4, {-3.0 / 8, 1.0 / 32, -1.0 / 64}, 0.2433365309069e-5},
    {8, 20, {-3.0 / 17, 1.0 / 33, -1.0 / 61}, 0.1800564401355e-5},
};

static struct npb_run run;
static struct mg_level level[MOST_LEVELS + 1]; /* level k has 2^k points along an axis, from 1 on */
static struct mg_level *finest;
static double *v; /* the charges */

struct point {
  double number;
  int64_t place;
};

/* Puts a point into a list of CHARGES kept in descending order of sign * number. */
static void keep(struct point *list, int sign, struct point point) {
  if (sign * point.number <= sign * list[CHARGES - 1].number) return;
  int i = CHARGES - 1;
  for (; i > 0 && sign * point.number > sign * list[i - 1].number; i--) list[i] = list[i - 1];
  list[i] = point;
}

static void put(struct point point, double charge) {
  int64_t n = finest->n, z = point.place / (n * n) - finest->first;
  if (z < 0 || z >= finest->planes) return;
  mg_row(finest, v, (int)(point.place / n % n), (int)z)[point.place % n] = charge;
}

/* Charges of +1 where the ten largest of n^3 random numbers are, of -1 where the ten smallest are. */
static void place_charges(void) {
  int64_t n = finest->n;
  struct point best[2][CHARGES], everyone[run.ranks][2][CHARGES];
  for (int i = 0; i < CHARGES; i++) {
    best[0][i] = (struct point){0, -1};
    best[1][i] = (struct point){1, -1};
  }
  uint64_t state = random_skip(NPB_SEED, (uint64_t)(n * n * finest->first));
  for (int64_t place = n * n * finest->first; place < n * n * (finest->first + finest->planes); place++) {
    struct point point = {random_next(&state), place};
    keep(best[0], 1, point);
    keep(best[1], -1, point);
  }
  MPI_Allgather(best, sizeof best, MPI_BYTE, everyone, sizeof best, MPI_BYTE, MPI_COMM_WORLD);
  for (int rank = 0; rank < run.ranks; rank++) {
    if (rank == run.rank) continue;
    for (int i = 0; i < CHARGES; i++) {
      keep(best[0], 1, everyone[rank][0][i]);
      keep(best[1], -1, everyone[rank][1][i]);
    }
  }
  mg_clear(finest, v);
  for (int i = 0; i < CHARGES; i++) {
    put(best[0][i], 1);
    put(best[1][i], -1);
  }
  mg_exchange(finest, v);
}

static void cycle(const double smoother[3]) {
  for (struct mg_level *fine = finest; fine > &level[1]; fine--) mg_project(fine, fine->r, fine - 1, (fine - 1)->r);
  mg_clear(&level[1], level[1].u);
  mg_smooth(&level[1], smoother, level[1].r, level[1].u);
  for (struct mg_level *l = &level[2]; l <= finest; l++) {
    if (l < finest) mg_clear(l, l->u);
    mg_interpolate(l - 1, (l - 1)->u, l, l->u);
    mg_residual(l, l->u, l < finest ? l->r : v, l->r);
    mg_smooth(l, smoother, l->r, l->u);
  }
}

static double solve(int class) {
  mg_clear(finest, finest->u);
  mg_residual(finest, finest->u, v, finest->r);
  npb_value(&run, "norm", mg_norm(finest, finest->r));
  for (int iteration = 1; iteration <= classes[class].iterations; iteration++) {
    npb_iteration(&run, iteration);
    cycle(classes[class].smoother);
    mg_residual(finest, finest->u, v, finest->r);
    npb_value(&run, "norm", mg_norm(finest, finest->r));
  }
  return mg_norm(finest, finest->r);
}

int main(int argc, char **argv) {
  npb_start(&run, argc, argv, "MG");
  int class = npb_class_index(&run);
  npb_require_ranks(&run, 2 * MG_WHOLE); /* the coarsest split level */
  for (int k = 1; k <= classes[class].log_n; k++) {
    struct mg_level *l = &level[k];
    l->n = 1 << k;
    bool whole = l->n <= MG_WHOLE;
    l->first = whole ? 0 : (int)npb_block_start(l->n, run.rank, run.ranks);
    l->planes = whole ? l->n : (int)npb_block_start(l->n, run.rank + 1, run.ranks) - l->first;
    l->u = mg_allocate(l);
    l->r = mg_allocate(l);
  }
  finest = &level[classes[class].log_n];
  v = mg_allocate(finest);
  place_charges();
  bool verified = true;
  double norm = 0;
  for (int repeat = 1; npb_again(&run, repeat); repeat++) {
    npb_section_start(&run, repeat);
    norm = solve(class);
    npb_section_end(&run);
    verified &= npb_close(&run, "final_norm", norm, classes[class].norm, 1e-8);
  }
  return npb_finish_number(&run, verified, norm);
}
