/*
 * What the processes of a container write, by the kernel's older notes (soft-dirty,
 * Documentation/admin-guide/mm/soft-dirty.rst): for kernels without asynchronous write-protection. CRIU's rounds use the
 * same notes, so never beside them.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../init/arguments.h"
#include "huge.h"
#include "mappings.h"
#include "pages.h"
#include "processes.h"
#include "uapi.h"

/* Of an entry of /proc/PID/pagemap. */
#define ENTRY_SOFT_DIRTY (1ULL << 55)
#define ENTRY_SWAPPED (1ULL << 62)
#define ENTRY_PRESENT (1ULL << 63)

static uint64_t present_pages, written_pages;

/* A process that ends meanwhile is left out. */
static void clear(const struct process *process, void *context)
{
	int file = open_proc(process->pid, "clear_refs", O_WRONLY);
	(void)context;
	if (file < 0)
		return;
	if (write(file, "4", 1) != 1)
		fail(1, "cannot clear the notes of process %d: %s", process->pid, strerror(errno));
	close(file);
}

/* A kernel without CONFIG_MEM_SOFT_DIRTY takes the 4 as well, and notes nothing: looked at on a page of our own. */
static void check_kernel(void)
{
	const struct process self = { .pid = getpid() };
	static volatile char page[2 * PAGE_BYTES];
	volatile char *middle = page + PAGE_BYTES;
	uint64_t entry = 0;
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	clear(&self, NULL);
	*middle = 1;
	off_t at = (off_t)((uintptr_t)middle / PAGE_BYTES * sizeof entry);
	if (pread(pagemap, &entry, sizeof entry, at) != sizeof entry || (entry & ENTRY_SOFT_DIRTY) == 0)
		fail(1, "this kernel has no CONFIG_MEM_SOFT_DIRTY");
	close(pagemap);
}

static void count_mapping(int pagemap, const struct range *mapping)
{
	static uint64_t entries[8192];
	for (uint64_t at = mapping->start; at < mapping->end;) {
		uint64_t pages = (mapping->end - at) / PAGE_BYTES;
		size_t wanted = pages < sizeof entries / sizeof *entries ? pages : sizeof entries / sizeof *entries;
		ssize_t got = pread(pagemap, entries, wanted * sizeof *entries, (off_t)(at / PAGE_BYTES * sizeof *entries));
		if (got <= 0)
			return;
		for (size_t i = 0; i < (size_t)got / sizeof *entries; i++) {
			if ((entries[i] & (ENTRY_PRESENT | ENTRY_SWAPPED)) == 0)
				continue;
			present_pages++;
			written_pages += (entries[i] & ENTRY_SOFT_DIRTY) != 0;
		}
		at += (uint64_t)got / sizeof *entries * PAGE_BYTES;
	}
}

static void count(const struct process *process, void *context)
{
	struct ranges mappings = { 0 };
	int pagemap = open_proc(process->pid, "pagemap", O_RDONLY);
	(void)context;
	if (pagemap < 0)
		return;
	if (read_mappings(process->pid, &mappings, NULL) == 0)
		for (size_t i = 0; i < mappings.count; i++)
			count_mapping(pagemap, &mappings.at[i]);
	free(mappings.at);
	close(pagemap);
}

/* soft-dirty CGROUP_DIR MS: answers as `sample` of source does. */
int soft_dirty(int argc, char **argv)
{
	int64_t ms, since;
	if (argc != 3 || parse_number(argv[2], 1, 3600000, &ms) < 0)
		fail(2, "usage: rankshift-pages soft-dirty CGROUP_DIR MS");
	check_kernel();
	if (each_process(argv[1], split_huge_pages, NULL) < 0 || each_process(argv[1], clear, NULL) < 0)
		fail(1, "cannot read the processes of %s: %s", argv[1], strerror(errno));
	since = monotonic_ns();
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
	int64_t waited = monotonic_ns() - since;
	if (each_process(argv[1], count, NULL) < 0)
		fail(1, "cannot read the processes of %s: %s", argv[1], strerror(errno));
	printf("{\"ms\":%.3f,\"writtenBytes\":%" PRIu64 ",\"presentBytes\":%" PRIu64 "}\n", (double)waited / 1e6,
	       written_pages * PAGE_BYTES, present_pages * PAGE_BYTES);
	return 0;
}
