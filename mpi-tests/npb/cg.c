/* NPB CG: smallest eigenvalue of a sparse matrix by inverse iteration with conjugate gradients. Rows in blocks. */
#include <math.h>
#include <mpi.h>
#include <string.h>

#include "cg_matrix.h"
#include "run.h"

#define INNER 25

static const struct {
  int n, nonzeros, iterations;
  double shift, zeta;
} classes[] = {
    {1400, 7, 15, 10, 8.5971775078648},
    {7000, 8, 15, 12, 10.362595087124},
    {14000, 11, 15, 20, 17.130235054029},
    {75000, 13, 75, 60, 22.712745482631},
};

static struct npb_run run;
static struct cg_matrix matrix;
static int *block, *block_start;     /* rows of each rank */
static double *x, *z, *p, *q, *r;    /* this rank's part */
static double *gathered;             /* a whole vector */

static double dot(const double *a, const double *b) {
  double mine = 0, all = 0;
  for (int i = 0; i < matrix.rows; i++) mine += a[i] * b[i];
  MPI_Allreduce(&mine, &all, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  return all;
}

static void multiply(const double *vector, double *product) {
  MPI_Allgatherv(vector, matrix.rows, MPI_DOUBLE, gathered, block, block_start, MPI_DOUBLE, MPI_COMM_WORLD);
  for (int row = 0; row < matrix.rows; row++) {
    double sum = 0;
    for (long k = matrix.row_start[row]; k < matrix.row_start[row + 1]; k++)
      sum += matrix.value[k] * gathered[matrix.column[k]];
    product[row] = sum;
  }
}

/* Solves A z = x with a fixed number of steps and returns |x - A z|. */
static double solve(void) {
  int n = matrix.rows;
  memset(z, 0, sizeof *z * (size_t)n);
  memcpy(r, x, sizeof *r * (size_t)n);
  memcpy(p, x, sizeof *p * (size_t)n);
  double rho = dot(r, r);
  for (int step = 0; step < INNER; step++) {
    multiply(p, q);
    double alpha = rho / dot(p, q);
    for (int i = 0; i < n; i++) {
      z[i] += alpha * p[i];
      r[i] -= alpha * q[i];
    }
    double before = rho;
    rho = dot(r, r);
    double beta = rho / before;
    for (int i = 0; i < n; i++) p[i] = r[i] + beta * p[i];
  }
  multiply(z, q);
  for (int i = 0; i < n; i++) r[i] = x[i] - q[i];
  return sqrt(dot(r, r));
}

static double estimate(int iterations, double shift) {
  double zeta = 0;
  for (int i = 0; i < matrix.rows; i++) x[i] = 1;
  for (int iteration = 1; iteration <= iterations; iteration++) {
    npb_iteration(&run, iteration);
    double residual = solve();
    zeta = shift + 1 / dot(x, z);
    double scale = 1 / sqrt(dot(z, z));
    for (int i = 0; i < matrix.rows; i++) x[i] = scale * z[i];
    npb_value(&run, "residual", residual);
    npb_value(&run, "zeta", zeta);
  }
  return zeta;
}

int main(int argc, char **argv) {
  npb_start(&run, argc, argv, "CG");
  int class = npb_class_index(&run);
  int n = classes[class].n;
  npb_require_ranks(&run, n);
  block = npb_allocate((size_t)run.ranks, sizeof *block);
  block_start = npb_allocate((size_t)run.ranks, sizeof *block_start);
  for (int rank = 0; rank < run.ranks; rank++) {
    block_start[rank] = (int)npb_block_start(n, rank, run.ranks);
    block[rank] = (int)npb_block_start(n, rank + 1, run.ranks) - block_start[rank];
  }
  matrix = cg_matrix_make(n, classes[class].nonzeros, classes[class].shift, block_start[run.rank], block[run.rank]);
  double **vectors[] = {&x, &z, &p, &q, &r};
  for (int i = 0; i < 5; i++) *vectors[i] = npb_allocate((size_t)matrix.rows, sizeof(double));
  gathered = npb_allocate((size_t)n, sizeof *gathered);
  bool verified = true;
  double zeta = 0;
  for (int repeat = 1; npb_again(&run, repeat); repeat++) {
    npb_section_start(&run, repeat);
    zeta = estimate(classes[class].iterations, classes[class].shift);
    npb_section_end(&run);
    verified &= npb_close(&run, "final_zeta", zeta, classes[class].zeta, 1e-10);
  }
  return npb_finish_number(&run, verified, zeta);
}
