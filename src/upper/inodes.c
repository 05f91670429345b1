#include "upper.h"

#include <stdlib.h>

#include "../init/arguments.h"

static size_t slot_of(const struct inodes *inodes, uint64_t key)
{
	size_t slot = (size_t)(key * 0x9E3779B97F4A7C15ULL >> 20) & inodes->mask;
	while (inodes->values[slot] != SIZE_MAX && inodes->keys[slot] != key)
		slot = (slot + 1) & inodes->mask;
	return slot;
}

void inodes_open(struct inodes *inodes, size_t expected)
{
	size_t size = 64;
	while (size < 2 * expected)
		size *= 2;
	inodes->count = 0;
	inodes->mask = size - 1;
	inodes->keys = malloc(size * sizeof *inodes->keys);
	inodes->values = malloc(size * sizeof *inodes->values);
	if (inodes->keys == NULL || inodes->values == NULL)
		fail(1, "no memory");
	for (size_t i = 0; i < size; i++)
		inodes->values[i] = SIZE_MAX;
}

static void grow(struct inodes *inodes)
{
	struct inodes larger;
	inodes_open(&larger, inodes->mask + 1);
	for (size_t i = 0; i <= inodes->mask; i++)
		if (inodes->values[i] != SIZE_MAX)
			inodes_put(&larger, inodes->keys[i], inodes->values[i]);
	inodes_close(inodes);
	*inodes = larger;
}

void inodes_put(struct inodes *inodes, uint64_t key, size_t value)
{
	if (2 * inodes->count > inodes->mask)
		grow(inodes);
	size_t slot = slot_of(inodes, key);
	if (inodes->values[slot] != SIZE_MAX)
		return;
	inodes->count++;
	inodes->keys[slot] = key;
	inodes->values[slot] = value;
}

size_t inodes_get(const struct inodes *inodes, uint64_t key)
{
	return inodes->values[slot_of(inodes, key)];
}

void inodes_close(struct inodes *inodes)
{
	free(inodes->keys);
	free(inodes->values);
}
