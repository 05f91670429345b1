/* The pseudo-random numbers of the NAS Parallel Benchmarks: x' = a x mod 2^46 with a = 5^13. */
#ifndef NPB_RANDOM_H
#define NPB_RANDOM_H

#include <stdint.h>

/* Seed of IS, CG, MG and FT; EP has its own. */
#define NPB_SEED 314159265u

/* Steps *state once and returns it as a number in (0, 1). */
double random_next(uint64_t *state);

/* The state after `count` steps from `state`, in O(log count). */
uint64_t random_skip(uint64_t state, uint64_t count);

#endif
