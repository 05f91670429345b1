#include "random.h"

#define MULTIPLIER 1220703125u
#define MASK ((UINT64_C(1) << 46) - 1)

/* 2^46 divides 2^64, so the wrap-around of 64-bit arithmetic does not disturb the product mod 2^46. */
static uint64_t times(uint64_t a, uint64_t b) { return a * b & MASK; }

double random_next(uint64_t *state) {
  *state = times(MULTIPLIER, *state);
  return (double)*state * 0x1p-46;
}

uint64_t random_skip(uint64_t state, uint64_t count) {
  for (uint64_t power = MULTIPLIER; count > 0; count >>= 1) {
    if (count & 1) state = times(power, state);
    power = times(power, power);
  }
  return state;
}
