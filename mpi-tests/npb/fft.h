/* Complex fast Fourier transforms of many lines at once. */
#ifndef NPB_FFT_H
#define NPB_FFT_H

struct complex_number {
  double re, im;
};

struct fft {
  int n; /* length of a line, a power of two */
  struct complex_number *root;
  struct complex_number *scratch[2];
};

struct fft fft_make(int n);

/*
 * Transforms `lines` lines in place, unscaled; sign -1 forward, +1 inverse. Element e of line l lies at
 * data[e * element_step + l * line_step].
 */
void fft_lines(const struct fft *fft, int sign, struct complex_number *data, long element_step, long line_step,
               int lines);

#endif
