#include "checksum.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../init/arguments.h"
#include "hash.h"
#include "pages.h"
#include "send.h"
#include "store-file.h"

struct sum {
	uint32_t process;
	uint64_t pages, checksum;
};

static char buffer[WIRE_PAGES * PAGE_BYTES] __attribute__((aligned(4096)));

static void add_page(struct sum *sum, uint64_t address, const char *page)
{
	if (is_zero_page(page))
		return;
	sum->pages++;
	sum->checksum += hash64(page, PAGE_BYTES, address);
}

static int by_process(const void *a, const void *b)
{
	const struct sum *first = a, *second = b;
	return first->process < second->process ? -1 : first->process > second->process;
}

static void print_sums(struct sum *sums, size_t count)
{
	qsort(sums, count, sizeof *sums, by_process);
	printf("{\"processes\":[");
	for (size_t i = 0; i < count; i++)
		printf("%s{\"process\":%" PRIu32 ",\"pages\":%" PRIu64 ",\"checksum\":\"%016" PRIx64 "\"}", i == 0 ? "" : ",",
		       sums[i].process, sums[i].pages, sums[i].checksum);
	printf("]}\n");
}

struct summing {
	pid_t pid;
	int memory;
	struct sum *sum;
};

static void sum_page(uint64_t address, char *page, void *context)
{
	const struct summing *summing = context;
	add_page(summing->sum, address, page);
}

static void sum_region(const struct page_region *region, void *context)
{
	const struct summing *summing = context;
	each_page(summing->pid, summing->memory, region, sum_page, context);
}

static void sum_process(const struct process *process, struct sum *sum)
{
	static struct ranges mappings;
	int pagemap = open_proc(process->pid, "pagemap", O_RDONLY), memory = open_proc(process->pid, "mem", O_RDONLY);
	struct summing summing = { process->pid, memory, sum };
	*sum = (struct sum){ .process = process->inside };
	if (pagemap < 0 || memory < 0 || read_mappings(process->pid, &mappings, NULL) < 0)
		fail(1, "process %d cannot be read", (int)process->pid);
	for (size_t i = 0; i < mappings.count; i++)
		if (scan(pagemap, &mappings.at[i], SCAN_LOOK, 0, sum_region, &summing) < 0)
			fail(1, "the pages of process %d cannot be listed", (int)process->pid);
	close(pagemap);
	close(memory);
}

void print_checksums(const struct container *container)
{
	struct sum *sums = calloc(container->count + 1, sizeof *sums);
	if (sums == NULL)
		fail(1, "no memory for %zu checksums", container->count);
	for (size_t i = 0; i < container->count; i++)
		sum_process(&container->at[i].process, &sums[i]);
	print_sums(sums, container->count);
	free(sums);
}

static void sum_file(struct store_file *file, struct sum *sum)
{
	*sum = (struct sum){ .process = file->process };
	for (uint64_t start = 0; next_data(file, start, UINT64_MAX, &start);) {
		uint64_t end = end_of_data(file, start);
		while (start < end) {
			size_t length = end - start < sizeof buffer ? end - start : sizeof buffer;
			read_file(file, start, buffer, length);
			for (size_t at = 0; at < length; at += PAGE_BYTES)
				add_page(sum, start + at, buffer + at);
			start += length;
		}
	}
}

int checksum(int argc, char **argv)
{
	if (argc != 2)
		fail(2, "usage: rankshift-pages checksum DIR");
	struct store_files files = { .directory = argv[1] };
	open_files(&files);
	struct sum *sums = calloc(files.count + 1, sizeof *sums);
	if (sums == NULL)
		fail(1, "no memory for %zu checksums", files.count);
	for (size_t i = 0; i < files.count; i++)
		sum_file(files.at[i], &sums[i]);
	print_sums(sums, files.count);
	return 0;
}
