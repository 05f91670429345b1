/*
 * What a restored process still lacks: ranges of its memory with the addresses that they had in the store. They follow
 * the process when it unmaps, drops or moves memory.
 */
#ifndef RANKSHIFT_PAGES_SEGMENTS_H
#define RANKSHIFT_PAGES_SEGMENTS_H

#include <stddef.h>
#include <stdint.h>

#include "mappings.h"

struct segment {
	uint64_t start, end; /* now */
	uint64_t stored;     /* address of the start in the store */
};

/* Sorted by start, without overlap. at[first..count) */
struct segments {
	struct segment *at;
	size_t first, count, room;
};

void begin_segments(struct segments *segments, const struct ranges *ranges);
void copy_segments(struct segments *to, const struct segments *from);
void free_segments(struct segments *segments);

/* Adds a range behind all others. */
void append_segment(struct segments *segments, uint64_t start, uint64_t end);

/* The first segment that ends behind the address; NULL. */
const struct segment *next_segment(const struct segments *segments, uint64_t address);

/* The segment that holds the address; NULL. */
const struct segment *find_segment(const struct segments *segments, uint64_t address);

/* Forgets what lies in [start, end). */
void drop_segments(struct segments *segments, uint64_t start, uint64_t end);

/* Memory was moved, over whatever was there. */
void move_segments(struct segments *segments, uint64_t from, uint64_t to, uint64_t length);

/* Forgets the beginning of the first segment. */
void advance_segments(struct segments *segments, uint64_t length);

#endif
