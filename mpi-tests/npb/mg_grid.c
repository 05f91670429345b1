#include "mg_grid.h"

#include <math.h>
#include <mpi.h>
#include <string.h>

#include "run.h"

/* A by distance: centre, face (0, left out), edge, corner. */
static const double a_centre = -8.0 / 3, a_edge = 1.0 / 6, a_corner = 1.0 / 12;

static size_t plane_size(const struct mg_level *level) { return ((size_t)level->n + 2) * ((size_t)level->n + 2); }

double *mg_allocate(const struct mg_level *level) {
  return npb_allocate(plane_size(level) * ((size_t)level->planes + 2), sizeof(double));
}

void mg_clear(const struct mg_level *level, double *array) {
  memset(array, 0, plane_size(level) * ((size_t)level->planes + 2) * sizeof *array);
}

void mg_exchange(const struct mg_level *level, double *array) {
  int n = level->n;
  size_t width = (size_t)n + 2, size = plane_size(level);
  for (int z = 0; z < level->planes; z++) {
    for (int y = 0; y < n; y++) {
      double *row = mg_row(level, array, y, z);
      row[-1] = row[n - 1];
      row[n] = row[0];
    }
    double *plane = array + (size_t)(z + 1) * size;
    memcpy(plane, plane + (size_t)n * width, width * sizeof *plane);
    memcpy(plane + ((size_t)n + 1) * width, plane + width, width * sizeof *plane);
  }
  double *below = array, *first = array + size;
  double *last = array + (size_t)level->planes * size, *above = last + size;
  if (level->planes == n) {
    memcpy(below, last, size * sizeof *array);
    memcpy(above, first, size * sizeof *array);
    return;
  }
  int rank, ranks;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  int up = (rank + 1) % ranks, down = (rank + ranks - 1) % ranks, count = (int)size;
  MPI_Sendrecv(last, count, MPI_DOUBLE, up, 1, below, count, MPI_DOUBLE, down, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  MPI_Sendrecv(first, count, MPI_DOUBLE, down, 2, above, count, MPI_DOUBLE, up, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

/* The nine rows of an array around (y, z). */
struct neighbours {
  const double *centre;
  const double *face[4];
  const double *corner[4];
};

static struct neighbours around(const struct mg_level *level, double *array, int y, int z) {
  struct neighbours rows = {.centre = mg_row(level, array, y, z)};
  for (int i = 0; i < 4; i++) {
    int side = i % 2 ? 1 : -1, other = i / 2 ? 1 : -1;
    rows.face[i] = i / 2 ? mg_row(level, array, y, z + side) : mg_row(level, array, y + side, z);
    rows.corner[i] = mg_row(level, array, y + side, z + other);
  }
  return rows;
}

/* Sums over the four rows beside the centre row, and over the four beyond the corners, for x in [-1, n]. */
static void sum_rows(const struct neighbours *rows, int n, double *faces, double *corners) {
  const double *f0 = rows->face[0], *f1 = rows->face[1], *f2 = rows->face[2], *f3 = rows->face[3];
  const double *c0 = rows->corner[0], *c1 = rows->corner[1], *c2 = rows->corner[2], *c3 = rows->corner[3];
  for (int x = -1; x <= n; x++) {
    faces[x] = f0[x] + f1[x] + f2[x] + f3[x];
    corners[x] = c0[x] + c1[x] + c2[x] + c3[x];
  }
}

void mg_residual(const struct mg_level *level, double *u, double *v, double *r) {
  int n = level->n;
  double buffer[2][n + 2], *faces = buffer[0] + 1, *corners = buffer[1] + 1;
  for (int z = 0; z < level->planes; z++) {
    for (int y = 0; y < n; y++) {
      struct neighbours rows = around(level, u, y, z);
      const double *centre = rows.centre, *source = mg_row(level, v, y, z);
      double *out = mg_row(level, r, y, z);
      sum_rows(&rows, n, faces, corners);
      for (int x = 0; x < n; x++) {
        double edges = corners[x] + faces[x - 1] + faces[x + 1];
        out[x] = source[x] - a_centre * centre[x] - a_edge * edges - a_corner * (corners[x - 1] + corners[x + 1]);
      }
    }
  }
  mg_exchange(level, r);
}

void mg_smooth(const struct mg_level *level, const double coefficients[3], double *r, double *u) {
  int n = level->n;
  double c0 = coefficients[0], c1 = coefficients[1], c2 = coefficients[2];
  double buffer[2][n + 2], *faces = buffer[0] + 1, *corners = buffer[1] + 1;
  for (int z = 0; z < level->planes; z++) {
    for (int y = 0; y < n; y++) {
      struct neighbours rows = around(level, r, y, z);
      const double *centre = rows.centre;
      double *out = mg_row(level, u, y, z);
      sum_rows(&rows, n, faces, corners);
      for (int x = 0; x < n; x++) {
        out[x] += c0 * centre[x] + c1 * (centre[x - 1] + centre[x + 1] + faces[x]) +
                  c2 * (corners[x] + faces[x - 1] + faces[x + 1]);
      }
    }
  }
  mg_exchange(level, u);
}

/*
 * Gives every rank all planes of a whole level, of which each has computed the ones that lie on its fine planes. Those
 * are its block of the coarse planes: floor(floor(n p / ranks) / 2) is floor((n / 2) p / ranks) for an even n.
 */
static void gather_planes(const struct mg_level *coarse, double *array) {
  int ranks;
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  int count[ranks], start[ranks], size = (int)plane_size(coarse);
  for (int rank = 0; rank < ranks; rank++) {
    int first = (int)npb_block_start(coarse->n, rank, ranks), end = (int)npb_block_start(coarse->n, rank + 1, ranks);
    start[rank] = first * size;
    count[rank] = (end - first) * size;
  }
  MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, array + size, count, start, MPI_DOUBLE, MPI_COMM_WORLD);
}

void mg_project(const struct mg_level *fine, double *from, const struct mg_level *coarse, double *to) {
  int n = fine->n;
  double buffer[2][n + 2], *faces = buffer[0] + 1, *corners = buffer[1] + 1;
  for (int plane = fine->first / 2; plane < (fine->first + fine->planes) / 2; plane++) {
    for (int y = 0; y < coarse->n; y++) {
      struct neighbours rows = around(fine, from, 2 * y + 1, 2 * plane + 1 - fine->first);
      const double *centre = rows.centre;
      double *out = mg_row(coarse, to, y, plane - coarse->first);
      sum_rows(&rows, n, faces, corners);
      for (int x = 0; x < coarse->n; x++) {
        int at = 2 * x + 1;
        out[x] = 0.5 * centre[at] + 0.25 * (centre[at - 1] + centre[at + 1] + faces[at]) +
                 0.125 * (faces[at - 1] + faces[at + 1] + corners[at]) +
                 0.0625 * (corners[at - 1] + corners[at + 1]);
      }
    }
  }
  if (coarse->planes == coarse->n && fine->planes < fine->n) gather_planes(coarse, to);
  mg_exchange(coarse, to);
}

/* The coarse points on both sides of a fine one along an axis; twice the same where it lies on one. */
static int lower_of(int fine) { return fine % 2 ? (fine - 1) / 2 : fine / 2 - 1; }
static int upper_of(int fine) { return fine / 2; }

void mg_interpolate(const struct mg_level *coarse, double *from, const struct mg_level *fine, double *to) {
  int n = coarse->n;
  double buffer[n + 1], *mean = buffer + 1;
  for (int z = 0; z < fine->planes; z++) {
    int below = lower_of(z + fine->first) - coarse->first, above = upper_of(z + fine->first) - coarse->first;
    for (int y = 0; y < fine->n; y++) {
      const double *a = mg_row(coarse, from, lower_of(y), below), *b = mg_row(coarse, from, upper_of(y), below);
      const double *c = mg_row(coarse, from, lower_of(y), above), *d = mg_row(coarse, from, upper_of(y), above);
      double *out = mg_row(fine, to, y, z);
      for (int x = -1; x < n; x++) mean[x] = 0.25 * (a[x] + b[x] + c[x] + d[x]);
      for (int x = 0; x < n; x++) {
        out[2 * x] += 0.5 * (mean[x - 1] + mean[x]);
        out[2 * x + 1] += mean[x];
      }
    }
  }
  mg_exchange(fine, to);
}

double mg_norm(const struct mg_level *level, double *array) {
  double mine = 0, all = 0;
  for (int z = 0; z < level->planes; z++) {
    for (int y = 0; y < level->n; y++) {
      const double *row = mg_row(level, array, y, z);
      for (int x = 0; x < level->n; x++) mine += row[x] * row[x];
    }
  }
  MPI_Allreduce(&mine, &all, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  return sqrt(all / level->n / level->n / level->n);
}
