#include "cg_matrix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"
#include "run.h"

#define CONDITION 0.1

struct vectors {
  int room;     /* places per vector */
  int *length;  /* elements used */
  int *index;
  double *value;
};

static int find(const int *index, int length, int wanted) {
  for (int i = 0; i < length; i++)
    if (index[i] == wanted) return i;
  return -1;
}

/* Draws one vector; two numbers per candidate, also for a rejected one. */
static int draw(uint64_t *state, int n, int power_of_two, int nonzeros, int diagonal, int *index, double *value) {
  int length = 0;
  while (length < nonzeros) {
    double element = random_next(state);
    int place = (int)(power_of_two * random_next(state));
    if (place >= n || find(index, length, place) >= 0) continue;
    index[length] = place;
    value[length++] = element;
  }
  int at = find(index, length, diagonal);
  if (at < 0) at = length++;
  index[at] = diagonal;
  value[at] = 0.5;
  return length;
}

static struct vectors draw_all(int n, int nonzeros) {
  struct vectors v = {.room = nonzeros + 1};
  v.length = npb_allocate((size_t)n, sizeof *v.length);
  v.index = npb_allocate((size_t)n * (size_t)v.room, sizeof *v.index);
  v.value = npb_allocate((size_t)n * (size_t)v.room, sizeof *v.value);
  int power_of_two = 1;
  while (power_of_two < n) power_of_two *= 2;
  uint64_t state = NPB_SEED;
  random_next(&state); /* the specification draws one number before the matrix */
  for (int i = 0; i < n; i++) {
    size_t at = (size_t)i * (size_t)v.room;
    v.length[i] = draw(&state, n, power_of_two, nonzeros, i, v.index + at, v.value + at);
  }
  return v;
}

/* For each own row, which vectors have an element there: start[row] .. start[row + 1] in the list returned. */
static int *vectors_of_rows(const struct vectors *v, int n, int first_row, int rows, long *start) {
  int *list = NULL;
  memset(start, 0, sizeof *start * (size_t)(rows + 1));
  for (int pass = 0; pass < 2; pass++) {
    for (int i = 0; i < n; i++) {
      for (int e = 0; e < v->length[i]; e++) {
        int row = v->index[(size_t)i * (size_t)v->room + (size_t)e] - first_row;
        if (row < 0 || row >= rows) continue;
        if (pass == 0) start[row + 1]++;
        else list[start[row]++] = i;
      }
    }
    if (pass == 0) {
      for (int row = 0; row < rows; row++) start[row + 1] += start[row];
      list = npb_allocate((size_t)start[rows], sizeof *list);
    } else {
      for (int row = rows; row > 0; row--) start[row] = start[row - 1];
      start[0] = 0;
    }
  }
  return list;
}

static int ascending(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

struct cg_matrix cg_matrix_make(int n, int nonzeros, double shift, int first_row, int rows) {
  struct vectors v = draw_all(n, nonzeros);
  long *start = npb_allocate((size_t)rows + 1, sizeof *start);
  int *list = vectors_of_rows(&v, n, first_row, rows, start);
  /* At most every element of every vector that touches a row, and the diagonal. */
  size_t room = (size_t)start[rows] * (size_t)v.room + (size_t)rows;
  struct cg_matrix m = {.rows = rows};
  m.row_start = npb_allocate((size_t)rows + 1, sizeof *m.row_start);
  m.column = npb_allocate(room, sizeof *m.column);
  m.value = npb_allocate(room, sizeof *m.value);
  double *sum = npb_allocate((size_t)n, sizeof *sum);
  int *seen_in = npb_allocate((size_t)n, sizeof *seen_in); /* row + 1 in which the column was met last */
  long count = 0;
  for (int row = 0; row < rows; row++) {
    int diagonal = first_row + row;
    long begin = count;
    m.column[count++] = diagonal;
    seen_in[diagonal] = row + 1;
    sum[diagonal] = CONDITION - shift;
    for (long k = start[row]; k < start[row + 1]; k++) {
      int i = list[k];
      const int *index = v.index + (size_t)i * (size_t)v.room;
      const double *value = v.value + (size_t)i * (size_t)v.room;
      double scale = pow(CONDITION, (double)i / n) * value[find(index, v.length[i], diagonal)];
      for (int e = 0; e < v.length[i]; e++) {
        int column = index[e];
        if (seen_in[column] != row + 1) {
          seen_in[column] = row + 1;
          sum[column] = 0;
          m.column[count++] = column;
        }
        sum[column] += scale * value[e];
      }
    }
    qsort(m.column + begin, (size_t)(count - begin), sizeof *m.column, ascending);
    for (long k = begin; k < count; k++) m.value[k] = sum[m.column[k]];
    m.row_start[row + 1] = count;
  }
  free(v.length);
  free(v.index);
  free(v.value);
  free(start);
  free(list);
  free(sum);
  free(seen_in);
  return m;
}
