#include "segments.h"

#include <stdlib.h>
#include <string.h>

#include "../init/arguments.h"

static void insert(struct segments *segments, size_t index, struct segment segment)
{
	if (segment.start >= segment.end)
		return;
	if (segments->count == segments->room) {
		segments->room = segments->room == 0 ? 64 : segments->room * 2;
		segments->at = realloc(segments->at, segments->room * sizeof *segments->at);
		if (segments->at == NULL)
			fail(1, "no memory for a list of %zu ranges", segments->room);
	}
	memmove(segments->at + index + 1, segments->at + index, (segments->count - index) * sizeof *segments->at);
	segments->at[index] = segment;
	segments->count++;
}

void begin_segments(struct segments *segments, const struct ranges *ranges)
{
	*segments = (struct segments){ 0 };
	for (size_t i = 0; i < ranges->count; i++)
		insert(segments, i, (struct segment){ ranges->at[i].start, ranges->at[i].end, ranges->at[i].start });
}

void append_segment(struct segments *segments, uint64_t start, uint64_t end)
{
	insert(segments, segments->count, (struct segment){ start, end, start });
}

void copy_segments(struct segments *to, const struct segments *from)
{
	*to = (struct segments){ 0 };
	for (size_t i = from->first; i < from->count; i++)
		insert(to, to->count, from->at[i]);
}

void free_segments(struct segments *segments)
{
	free(segments->at);
	*segments = (struct segments){ 0 };
}

/* Index of the first segment that ends behind the address. */
static size_t first_behind(const struct segments *segments, uint64_t address)
{
	size_t low = segments->first, high = segments->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (segments->at[middle].end > address)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

const struct segment *next_segment(const struct segments *segments, uint64_t address)
{
	size_t index = first_behind(segments, address);
	return index < segments->count ? &segments->at[index] : NULL;
}

const struct segment *find_segment(const struct segments *segments, uint64_t address)
{
	size_t index = first_behind(segments, address);
	return index < segments->count && segments->at[index].start <= address ? &segments->at[index] : NULL;
}

/* Cuts the segment that holds the address in two there. */
static void split(struct segments *segments, uint64_t address)
{
	size_t index = first_behind(segments, address);
	if (index == segments->count || segments->at[index].start >= address)
		return;
	struct segment behind = segments->at[index];
	behind.stored += address - behind.start;
	behind.start = address;
	segments->at[index].end = address;
	insert(segments, index + 1, behind);
}

void drop_segments(struct segments *segments, uint64_t start, uint64_t end)
{
	if (segments->first == segments->count)
		return;
	split(segments, start);
	split(segments, end);
	size_t from = first_behind(segments, start), to = first_behind(segments, end);
	if (from == segments->first) {
		segments->first = to;
		return;
	}
	memmove(segments->at + from, segments->at + to, (segments->count - to) * sizeof *segments->at);
	segments->count -= to - from;
}

void move_segments(struct segments *segments, uint64_t from, uint64_t to, uint64_t length)
{
	struct segments moved = { 0 };
	split(segments, from);
	split(segments, from + length);
	for (size_t i = first_behind(segments, from); i < segments->count && segments->at[i].start < from + length; i++) {
		struct segment segment = segments->at[i];
		segment.start += to - from;
		segment.end += to - from;
		insert(&moved, moved.count, segment);
	}
	drop_segments(segments, from, from + length);
	drop_segments(segments, to, to + length);
	for (size_t i = 0; i < moved.count; i++)
		insert(segments, first_behind(segments, moved.at[i].start), moved.at[i]);
	free_segments(&moved);
}

void advance_segments(struct segments *segments, uint64_t length)
{
	struct segment *first = &segments->at[segments->first];
	first->start += length;
	first->stored += length;
	if (first->start >= first->end)
		segments->first++;
}
