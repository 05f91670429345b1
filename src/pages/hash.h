/* XXH64 (Yann Collet, xxHash specification 0.1.1): a checksum against mistakes, not against enemies. */
#ifndef RANKSHIFT_PAGES_HASH_H
#define RANKSHIFT_PAGES_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash64(const void *data, size_t length, uint64_t seed);

#endif
