#include "hash.h"

#include <string.h>

#define P1 0x9E3779B185EBCA87ULL
#define P2 0xC2B2AE3D27D4EB4FULL
#define P3 0x165667B19E3779F9ULL
#define P4 0x85EBCA77C2B2AE63ULL
#define P5 0x27D4EB2F165667C5ULL

static uint64_t rotate(uint64_t value, int bits)
{
	return value << bits | value >> (64 - bits);
}

static uint64_t word(const unsigned char *at)
{
	uint64_t value;
	memcpy(&value, at, sizeof value);
	return value;
}

static uint64_t lane(uint64_t sum, uint64_t value)
{
	return rotate(sum + value * P2, 31) * P1;
}

static uint64_t merge(uint64_t hash, uint64_t sum)
{
	return (hash ^ lane(0, sum)) * P1 + P4;
}

uint64_t hash64(const void *data, size_t length, uint64_t seed)
{
	const unsigned char *at = data, *end = at + length;
	uint64_t hash = seed + P5;
	if (length >= 32) {
		uint64_t a = seed + P1 + P2, b = seed + P2, c = seed, d = seed - P1;
		for (; end - at >= 32; at += 32) {
			a = lane(a, word(at));
			b = lane(b, word(at + 8));
			c = lane(c, word(at + 16));
			d = lane(d, word(at + 24));
		}
		hash = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
		hash = merge(merge(merge(merge(hash, a), b), c), d);
	}
	hash += length;
	for (; end - at >= 8; at += 8)
		hash = rotate(hash ^ lane(0, word(at)), 27) * P1 + P4;
	if (end - at >= 4) {
		uint32_t half;
		memcpy(&half, at, sizeof half);
		hash = rotate(hash ^ half * P1, 23) * P2 + P3;
		at += 4;
	}
	for (; at < end; at++)
		hash = rotate(hash ^ *at * P5, 11) * P1;
	hash = (hash ^ hash >> 33) * P2;
	hash = (hash ^ hash >> 29) * P3;
	return hash ^ hash >> 32;
}
