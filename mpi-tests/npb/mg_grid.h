/* One level of the multigrid of NPB MG: a periodic cube of which each rank has planes of z, and the operators on it. */
#ifndef NPB_MG_GRID_H
#define NPB_MG_GRID_H

#include <stddef.h>

/*
 * Levels with more than MG_WHOLE points along an axis are split over the ranks; smaller ones are held whole by every
 * rank, which then computes all of it: the same numbers everywhere, and no messages of a few bytes.
 */
#define MG_WHOLE 16

struct mg_level {
  int n;      /* points along each axis */
  int first;  /* first plane of this rank */
  int planes; /* planes of this rank; n where the level is whole */
  double *u;  /* correction; at the finest level the solution */
  double *r;  /* residual */
};

/* Every array has one ghost layer on each side; this is the element (0, y, z), so that [-1] and [n] are its ghosts. */
static inline double *mg_row(const struct mg_level *level, double *array, int y, int z) {
  size_t width = (size_t)level->n + 2;
  return array + ((size_t)(z + 1) * width + (size_t)(y + 1)) * width + 1;
}

double *mg_allocate(const struct mg_level *level);

/* Sets all points and ghosts to 0. */
void mg_clear(const struct mg_level *level, double *array);

/* Fills the ghosts of an array. All ranks call it. */
void mg_exchange(const struct mg_level *level, double *array);

/* r = v - A u, with ghosts. r may be v. */
void mg_residual(const struct mg_level *level, double *u, double *v, double *r);

/* u = u + S r with the coefficients of the smoother, with ghosts. */
void mg_smooth(const struct mg_level *level, const double coefficients[3], double *r, double *u);

/* coarse = P fine, with ghosts: coarse point j lies on fine point 2 j + 1. */
void mg_project(const struct mg_level *fine, double *from, const struct mg_level *coarse, double *to);

/* fine = fine + Q coarse (trilinear), with ghosts. */
void mg_interpolate(const struct mg_level *coarse, double *from, const struct mg_level *fine, double *to);

/* Root of the mean square over the whole cube. */
double mg_norm(const struct mg_level *level, double *array);

#endif
