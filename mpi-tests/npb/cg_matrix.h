/* The sparse matrix of NPB CG, rows [first_row, first_row + rows) of it in compressed rows. */
#ifndef NPB_CG_MATRIX_H
#define NPB_CG_MATRIX_H

struct cg_matrix {
  int rows;
  long *row_start; /* rows + 1 places */
  int *column;     /* ascending in each row */
  double *value;
};

/*
 * A = sum over i of 0.1^(i/n) v_i v_i^T + (0.1 - shift) I, with v_i a random sparse vector of `nonzeros` elements and 0.5 at i.
 * Every process draws all vectors, since the random sequence is one, and keeps its rows.
 */
struct cg_matrix cg_matrix_make(int n, int nonzeros, double shift, int first_row, int rows);

#endif
