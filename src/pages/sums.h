/* What every page of a stopped process holds, as checksums by address. */
#ifndef RANKSHIFT_PAGES_SUMS_H
#define RANKSHIFT_PAGES_SUMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "mappings.h"

/* A page that is not all zeros. */
struct sum {
	uint64_t address, hash;
};

struct sums {
	struct sum *at;
	size_t count, room;
};

/* Bytes that the kernel itself changes while the process stands still: they count as zeros. */
struct mask {
	uint64_t process, address, length;
};

struct subject {
	pid_t pid;
	uint32_t inside;
	int memory, pagemap; /* descriptors of /proc/PID */
	const struct mask *masks;
	size_t mask_count;
};

/* The mappings of a process, each with a name of its own. */
struct layout {
	struct mapping *at;
	size_t count, room;
};

/* Reads them anew. -1 where the process is gone. */
int read_layout(pid_t pid, struct layout *out);

/* Opens a process; -1 where it is gone. */
int open_subject(struct subject *subject, pid_t pid, uint32_t inside);

void close_subject(struct subject *subject);

/* Whether the kernel makes what lies there (vdso, vvar, vsyscall, uprobes, the ring of io_setup(2)), so that it differs by node. */
bool is_of_the_kernel(const struct mapping *mapping);

/*
 * Memory that the kernel may turn to zeros at any time (MAP_DROPPABLE, Linux 6.11: glibc's getrandom keeps its state
 * there), by smaps: -1 where the process is gone.
 */
int find_droppable(pid_t pid, struct ranges *out);

/*
 * Adds the pages of a part of one mapping, in address order. Private anonymous memory by the pages that the kernel lists,
 * so that nothing comes into being by being looked at; shared memory and shared files through the file behind them; private
 * mappings of files whole, with what the process has written there. A page that cannot be read counts as zeros.
 */
void sum_mapping(const struct subject *subject, const struct mapping *mapping, uint64_t start, uint64_t end,
		 struct sums *sums);

#endif
