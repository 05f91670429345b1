#include "upper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../init/arguments.h"
#include "../pages/hash.h"

/* Of a block that is a hole. */
#define HOLE 0
/* Parts of one block that hold data; of one in more parts the holes between are taken for data. */
enum { MOST_PARTS = 32 };

struct part {
	uint32_t from, to;
};

struct reader {
	int fd;
	uint64_t size, data, end; /* the part of the file with data that was found last */
};

static void seek(struct reader *reader, uint64_t from)
{
	off_t data = lseek(reader->fd, (off_t)from, SEEK_DATA);
	off_t end = data < 0 ? -1 : lseek(reader->fd, data, SEEK_HOLE);
	/* ENXIO: a hole up to the end. */
	reader->data = data < 0 ? reader->size : (uint64_t)data;
	reader->end = end < 0 ? reader->size : (uint64_t)end;
	if (reader->data > reader->size)
		reader->data = reader->size;
	if (reader->end > reader->size)
		reader->end = reader->size;
}

/* Finds the parts with data of [from, to). */
static size_t parts_of(struct reader *reader, uint64_t from, uint64_t to, struct part *parts)
{
	size_t count = 0;
	for (uint64_t at = from; at < to; at = reader->end) {
		if (reader->end <= at)
			seek(reader, at);
		if (reader->data >= to || reader->data >= reader->end)
			break;
		uint64_t first = reader->data > at ? reader->data : at, last = reader->end < to ? reader->end : to;
		if (count == MOST_PARTS)
			parts[count - 1].to = (uint32_t)(last - from);
		else
			parts[count++] = (struct part){ (uint32_t)(first - from), (uint32_t)(last - from) };
		if (reader->end >= to)
			break;
	}
	return count;
}

static int read_part(int fd, char *to, uint64_t at, size_t length)
{
	while (length > 0) {
		ssize_t got = pread(fd, to, length, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		to += got;
		at += (uint64_t)got;
		length -= (size_t)got;
	}
	return 0;
}

static void punch(struct out *out, uint64_t from, uint64_t to)
{
	const uint64_t range[] = { from, to - from };
	if (to > from)
		out_record(out, OP_PUNCH, range, sizeof range, NULL, 0);
}

/* One block with data, where it is another than before. */
static int send_block(struct out *out, struct reader *reader, uint64_t from, const struct part *parts, size_t count,
		      const uint64_t *before, uint64_t *sum, int summed)
{
	static char buffer[BLOCK_BYTES];
	uint64_t now = 1;
	for (size_t i = 0; i < count; i++) {
		const size_t length = parts[i].to - parts[i].from;
		if (read_part(reader->fd, buffer + parts[i].from, from + parts[i].from, length) != 0)
			return -1;
		if (summed)
			now = hash64(buffer + parts[i].from, length, now ^ parts[i].from) | 1;
	}
	if (sum != NULL)
		*sum = now;
	if (before != NULL && *before == now)
		return 0;
	uint64_t at = from;
	for (size_t i = 0; i < count; i++) {
		const uint64_t offset = from + parts[i].from;
		if (before != NULL && *before != HOLE)
			punch(out, at, offset);
		out_record(out, OP_WRITE, &offset, sizeof offset, buffer + parts[i].from, parts[i].to - parts[i].from);
		at = from + parts[i].to;
	}
	const uint64_t end = from + BLOCK_BYTES < reader->size ? from + BLOCK_BYTES : reader->size;
	if (before != NULL && *before != HOLE)
		punch(out, at, end);
	return 0;
}

int send_content(struct out *out, struct entry *entry, int fd, const struct block_sums *before, int keep_sums)
{
	struct reader reader = { .fd = fd, .size = entry->size };
	const uint64_t blocks = (entry->size + BLOCK_BYTES - 1) / BLOCK_BYTES;
	struct part parts[MOST_PARTS];
	free(entry->sums);
	entry->sums = NULL;
	struct block_sums *sums = NULL;
	if (keep_sums) {
		sums = calloc(1, sizeof *sums + blocks * sizeof *sums->sums);
		if (sums == NULL)
			fail(1, "no memory");
		sums->count = blocks;
	}
	for (uint64_t block = 0; block < blocks; block++) {
		uint64_t from = block * BLOCK_BYTES;
		uint64_t to = from + BLOCK_BYTES < entry->size ? from + BLOCK_BYTES : entry->size;
		size_t count = parts_of(&reader, from, to, parts);
		if (count == 0) {
			/* A hole up to the next data, be it a terabyte. */
			uint64_t next = reader.data / BLOCK_BYTES;
			if (reader.data >= entry->size || next <= block)
				next = reader.data >= entry->size ? blocks : block + 1;
			uint64_t known = before == NULL ? 0 : before->count < next ? before->count : next;
			int was_data = 0;
			for (uint64_t i = block; i < known; i++)
				was_data |= before->sums[i] != HOLE;
			if (was_data)
				punch(out, from, next * BLOCK_BYTES < entry->size ? next * BLOCK_BYTES : entry->size);
			block = next - 1;
			continue;
		}
		const uint64_t *old = before != NULL && block < before->count ? &before->sums[block] : NULL;
		uint64_t *sum = sums == NULL ? NULL : &sums->sums[block];
		if (send_block(out, &reader, from, parts, count, old, sum, before != NULL || sums != NULL) != 0) {
			free(sums);
			return -1;
		}
	}
	entry->sums = sums;
	return 0;
}
