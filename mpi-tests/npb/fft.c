#include "fft.h"

#include <math.h>

#include "run.h"

/* Lines transformed together: a cache line or more of each row of the strided data is used. */
#define TOGETHER 16

struct fft fft_make(int n) {
  struct fft fft = {.n = n, .root = npb_allocate((size_t)n, sizeof(struct complex_number))};
  for (int i = 0; i < n; i++) {
    double angle = 2 * acos(-1.0) * i / n;
    fft.root[i] = (struct complex_number){cos(angle), sin(angle)};
  }
  for (int i = 0; i < 2; i++) fft.scratch[i] = npb_allocate((size_t)n * TOGETHER, sizeof(struct complex_number));
  return fft;
}

/* One Stockham step on `width` interleaved sequences of length 2 * half. */
static void step(const struct fft *fft, int sign, int half, int width, int lines, const struct complex_number *from,
                 struct complex_number *to) {
  for (int p = 0; p < half; p++) {
    struct complex_number w = fft->root[p * (width / lines)];
    w.im *= sign;
    const struct complex_number *a = from + (long)p * width, *b = a + (long)half * width;
    struct complex_number *sum = to + 2L * p * width, *difference = sum + width;
    for (int i = 0; i < width; i++) {
      double re = a[i].re - b[i].re, im = a[i].im - b[i].im;
      sum[i].re = a[i].re + b[i].re;
      sum[i].im = a[i].im + b[i].im;
      difference[i].re = re * w.re - im * w.im;
      difference[i].im = re * w.im + im * w.re;
    }
  }
}

static void transform(const struct fft *fft, int sign, struct complex_number *data, long element_step, long line_step,
                      int lines) {
  struct complex_number *from = fft->scratch[0], *to = fft->scratch[1];
  for (int e = 0; e < fft->n; e++)
    for (int l = 0; l < lines; l++) from[e * lines + l] = data[e * element_step + l * line_step];
  for (int half = fft->n / 2, width = lines; half >= 1; half /= 2, width *= 2) {
    step(fft, sign, half, width, lines, from, to);
    struct complex_number *swap = from;
    from = to;
    to = swap;
  }
  for (int e = 0; e < fft->n; e++)
    for (int l = 0; l < lines; l++) data[e * element_step + l * line_step] = from[e * lines + l];
}

void fft_lines(const struct fft *fft, int sign, struct complex_number *data, long element_step, long line_step,
               int lines) {
  for (int line = 0; line < lines; line += TOGETHER) {
    int count = lines - line < TOGETHER ? lines - line : TOGETHER;
    transform(fft, sign, data + line * line_step, element_step, line_step, count);
  }
}
