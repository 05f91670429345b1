/*
 * NPB FT: a diffusion equation solved by 3-D Fourier transforms. In space each rank has planes of z; in the spectrum,
 * rows of y. The exchange between the two layouts is one MPI_Alltoallv of the whole grid per transform.
 */
#include <math.h>
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "fft.h"
#include "ft_checksums.h"
#include "random.h"
#include "run.h"

#define ALPHA 1e-6

typedef struct complex_number complex_number;

static struct npb_run run;
static int nx, ny, nz;
static int z_first, z_count, y_first, y_count; /* this rank's planes in space, rows in the spectrum */
static struct fft fft_x, fft_y, fft_z;
static complex_number *spectrum, *work, *outgoing, *incoming;
static double *decay_x, *decay_y, *decay_z;

static void initial_condition(complex_number *u) {
  uint64_t state = random_skip(NPB_SEED, 2 * (uint64_t)nx * (uint64_t)ny * (uint64_t)z_first);
  for (long i = 0; i < (long)nx * ny * z_count; i++) {
    u[i].re = random_next(&state);
    u[i].im = random_next(&state);
  }
}

/* Factors by which one time step damps wave number i of n along one axis. */
static double *decay(int n) {
  double *factor = npb_allocate((size_t)n, sizeof *factor);
  double pi = acos(-1.0);
  for (int i = 0; i < n; i++) {
    double wave = i < n / 2 ? i : i - n;
    factor[i] = exp(-4 * ALPHA * pi * pi * wave * wave);
  }
  return factor;
}

static int first_of(int count, int rank) { return (int)npb_block_start(count, rank, run.ranks); }

/*
 * Copies rows of x between a layout and the buffer that is exchanged, in the order rank of the other side, y, z.
 * `space`: the layout is that of space (z, y, x), the other side splits y; else the spectrum's (y, z, x), it splits z.
 */
static void repack(bool space, bool into_buffer, complex_number *layout, complex_number *buffer) {
  size_t row = sizeof(complex_number) * (size_t)nx;
  for (int rank = 0; rank < run.ranks; rank++) {
    int y_from = space ? first_of(ny, rank) : y_first, y_end = space ? first_of(ny, rank + 1) : y_first + y_count;
    int z_from = space ? z_first : first_of(nz, rank), z_end = space ? z_first + z_count : first_of(nz, rank + 1);
    for (int y = y_from; y < y_end; y++) {
      for (int z = z_from; z < z_end; z++, buffer += nx) {
        long at = space ? (long)(z - z_first) * ny + y : (long)(y - y_first) * nz + z;
        if (into_buffer) memcpy(buffer, layout + at * nx, row);
        else memcpy(layout + at * nx, buffer, row);
      }
    }
  }
}

/* Moves `grid` from one layout to the other, in place. */
static void transpose(bool from_space, complex_number *grid) {
  int send[run.ranks], send_at[run.ranks], receive[run.ranks], receive_at[run.ranks];
  int sent = 0, received = 0;
  for (int rank = 0; rank < run.ranks; rank++) {
    int in_space = 2 * nx * z_count * (first_of(ny, rank + 1) - first_of(ny, rank));
    int in_spectrum = 2 * nx * y_count * (first_of(nz, rank + 1) - first_of(nz, rank));
    send[rank] = from_space ? in_space : in_spectrum;
    receive[rank] = from_space ? in_spectrum : in_space;
    send_at[rank] = sent;
    receive_at[rank] = received;
    sent += send[rank];
    received += receive[rank];
  }
  repack(from_space, true, grid, outgoing);
  MPI_Alltoallv(outgoing, send, send_at, MPI_DOUBLE, incoming, receive, receive_at, MPI_DOUBLE, MPI_COMM_WORLD);
  repack(!from_space, false, grid, incoming);
}

static void transform_planes(int sign, complex_number *grid) {
  for (int z = 0; z < z_count; z++) {
    complex_number *plane = grid + (long)z * nx * ny;
    fft_lines(&fft_x, sign, plane, 1, nx, ny);
    fft_lines(&fft_y, sign, plane, nx, 1, nx);
  }
}

static void transform_rows(int sign, complex_number *grid) {
  for (int y = 0; y < y_count; y++) fft_lines(&fft_z, sign, grid + (long)y * nx * nz, nx, 1, nx);
}

/* One time step of the spectrum, and a copy of it in work. */
static void evolve(void) {
  for (int y = 0; y < y_count; y++) {
    for (int z = 0; z < nz; z++) {
      double factor_yz = decay_y[y_first + y] * decay_z[z];
      long row = ((long)y * nz + z) * nx;
      for (int x = 0; x < nx; x++) {
        complex_number *u = spectrum + row + x;
        u->re *= factor_yz * decay_x[x];
        u->im *= factor_yz * decay_x[x];
        work[row + x] = *u;
      }
    }
  }
}

static complex_number checksum(const complex_number *u) {
  complex_number mine = {0, 0}, all;
  for (int j = 1; j <= 1024; j++) {
    int x = j % nx, y = 3 * j % ny, z = 5 * j % nz - z_first;
    if (z < 0 || z >= z_count) continue;
    mine.re += u[((long)z * ny + y) * nx + x].re;
    mine.im += u[((long)z * ny + y) * nx + x].im;
  }
  MPI_Allreduce(&mine, &all, 2, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  double points = (double)nx * ny * nz;
  return (complex_number){all.re / points, all.im / points};
}

static void solve(int iterations, complex_number *sums) {
  initial_condition(spectrum);
  transform_planes(-1, spectrum);
  transpose(true, spectrum);
  transform_rows(-1, spectrum);
  for (int i = 0; i < iterations; i++) {
    npb_iteration(&run, i + 1);
    evolve();
    transform_rows(1, work);
    transpose(false, work);
    transform_planes(1, work);
    sums[i] = checksum(work);
  }
}

int main(int argc, char **argv) {
  npb_start(&run, argc, argv, "FT");
  const struct ft_class *class = &ft_classes[npb_class_index(&run)];
  nx = class->nx;
  ny = class->ny;
  nz = class->nz;
  npb_require_ranks(&run, ny < nz ? ny : nz);
  z_first = first_of(nz, run.rank);
  z_count = first_of(nz, run.rank + 1) - z_first;
  y_first = first_of(ny, run.rank);
  y_count = first_of(ny, run.rank + 1) - y_first;
  fft_x = fft_make(nx);
  fft_y = fft_make(ny);
  fft_z = fft_make(nz);
  decay_x = decay(nx);
  decay_y = decay(ny);
  decay_z = decay(nz);
  long in_space = (long)nx * ny * z_count, in_spectrum = (long)nx * nz * y_count;
  size_t points = (size_t)(in_space > in_spectrum ? in_space : in_spectrum);
  complex_number **grids[] = {&spectrum, &work, &outgoing, &incoming};
  for (int i = 0; i < 4; i++) *grids[i] = npb_allocate(points, sizeof(complex_number));
  bool verified = true;
  complex_number sums[FT_MOST_ITERATIONS];
  for (int repeat = 1; npb_again(&run, repeat); repeat++) {
    npb_section_start(&run, repeat);
    solve(class->iterations, sums);
    npb_section_end(&run);
    for (int i = 0; i < class->iterations; i++) {
      verified &= npb_close(&run, "checksum_re", sums[i].re, class->checksum[i][0], 1e-12);
      verified &= npb_close(&run, "checksum_im", sums[i].im, class->checksum[i][1], 1e-12);
    }
  }
  return npb_finish_number(&run, verified, sums[class->iterations - 1].re);
}
