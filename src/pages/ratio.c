/* What each compression makes of a container's pages, and how fast: measured on a sample. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../bulk/stream.h"
#include "../init/arguments.h"
#include "mappings.h"
#include "pages.h"
#include "processes.h"
#include "send.h"
#include "track.h"

enum {
	SPOTS = 24,
	SPOT_PAGES = 32, /* in a row: what lies side by side is alike */
};

/* Present memory of all processes, in the order of the two lists. */
static struct ranges present;
static struct ranges owners; /* start: process, of the ranges from the last end up to `end` */
static uint64_t present_pages;
static char sample[SPOTS * SPOT_PAGES * PAGE_BYTES], packed[FRAME_BYTES];

static void add_region(const struct page_region *region, void *context)
{
	(void)context;
	add_range(&present, region->start, region->end);
	present_pages += (region->end - region->start) / PAGE_BYTES;
}

/* A process that ends meanwhile is left out. */
static void add_process(const struct process *process, void *context)
{
	struct ranges mappings = { 0 };
	int pagemap = open_proc(process->pid, "pagemap", O_RDONLY);
	(void)context;
	if (pagemap < 0)
		return;
	if (read_mappings(process->pid, &mappings, NULL) == 0)
		for (size_t i = 0; i < mappings.count; i++)
			scan(pagemap, &mappings.at[i], SCAN_LOOK, 0, add_region, NULL);
	close(pagemap);
	add_range(&owners, (uint64_t)process->pid, present.count);
}

static pid_t owner_of(size_t range)
{
	size_t i = 0;
	while (range >= owners.at[i].end)
		i++;
	return (pid_t)owners.at[i].start;
}

/* Reads up to SPOT_PAGES from that page on, those of zeros left out: they cost nothing in any case. Bytes. */
static size_t read_spot(uint64_t page, char *to)
{
	uint64_t address[SPOT_PAGES];
	bool good[SPOT_PAGES];
	size_t range = 0, count = 0, length = 0;
	while (page >= (present.at[range].end - present.at[range].start) / PAGE_BYTES)
		page -= (present.at[range].end - present.at[range].start) / PAGE_BYTES, range++;
	for (uint64_t at = present.at[range].start + page * PAGE_BYTES; at < present.at[range].end && count < SPOT_PAGES;
	     at += PAGE_BYTES)
		address[count++] = at;
	int memory = open_proc(owner_of(range), "mem", O_RDONLY);
	if (memory < 0)
		return 0;
	read_pages(owner_of(range), memory, address, count, to, good);
	close(memory);
	for (size_t i = 0; i < count; i++) {
		if (!good[i] || is_zero_page(to + i * PAGE_BYTES))
			continue;
		memmove(to + length, to + i * PAGE_BYTES, PAGE_BYTES);
		length += PAGE_BYTES;
	}
	return length;
}

static void measure(const char *name, size_t length)
{
	struct packer packer = { .kind = (enum compression)parse_compression(name) };
	size_t after = 0;
	/* Not counted: contexts and tables are touched for the first time. */
	pack_always(&packer, sample, length < FRAME_BYTES ? length : FRAME_BYTES, packed);
	int64_t since = monotonic_ns();
	for (size_t at = 0; at < length; at += FRAME_BYTES) {
		size_t part = length - at < FRAME_BYTES ? length - at : FRAME_BYTES;
		size_t smaller = pack_always(&packer, sample + at, part, packed);
		after += smaller > 0 ? smaller : part;
	}
	printf(",\"%s\":{\"bytes\":%zu,\"ns\":%lld}", name, after, (long long)(monotonic_ns() - since));
}

/* ratio CGROUP_DIR: reads some MiB of the processes' memory. They run on meanwhile. */
int ratio(int argc, char **argv)
{
	size_t length = 0;
	if (argc != 2)
		fail(2, "usage: rankshift-pages ratio CGROUP_DIR");
	if (each_process(argv[1], add_process, NULL) < 0)
		fail(1, "cannot read the processes of %s: %s", argv[1], strerror(errno));
	for (uint64_t i = 0; i < SPOTS && present_pages > 0; i++)
		length += read_spot(i * present_pages / SPOTS, sample + length);
	printf("{\"bytes\":%zu", length);
	measure("lz4", length);
	measure("zstd", length);
	printf("}\n");
	return 0;
}
