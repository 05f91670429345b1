/* The memory of a process that CRIU can restore lazily, and the processes of a cgroup. */
#ifndef RANKSHIFT_PAGES_MAPPINGS_H
#define RANKSHIFT_PAGES_MAPPINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct range {
	uint64_t start, end;
};

struct ranges {
	struct range *at;
	size_t count, room;
};

/* One line of /proc/PID/maps: proc_pid_maps(5). */
struct mapping {
	uint64_t start, end, offset;
	char permissions[5];
	unsigned long long inode; /* 0: no file */
	const char *name;	  /* gone after the callback */
};

/* Whether it is private anonymous memory, as `read_mappings` has it. */
bool restored_lazily(const struct mapping *mapping);

/* Calls back for each mapping of a process, in address order. -1 where the process is gone. */
int each_mapping(pid_t pid, void (*found)(const struct mapping *mapping, void *context), void *context);

/* Adds a range at the end. */
void add_range(struct ranges *ranges, uint64_t start, uint64_t end);

/*
 * Private anonymous mappings of a process, the heap and the stack among them, in address order, those of the kernel (vdso,
 * vvar, vsyscall, uprobes) left out: what CRIU's vma_entry_can_be_lazy (criu/include/vma.h) allows, and locked memory,
 * which it does not: only smaps would tell, and that takes milliseconds per GiB. CRIU then never asks for those pages.
 * Huge pages of hugetlbfs have an inode and are left out with everything that has one. `reach`, if not NULL, gets for each of them the range up to its neighbours of any kind, the
 * free space on both sides included. -1 where the process is gone.
 */
int read_mappings(pid_t pid, struct ranges *out, struct ranges *reach);

/* Finds the kernel's vdso in a process; -1 where it has none. */
int find_vdso(pid_t pid, struct range *out);

/* Opens a file of /proc/PID; -1 with errno. */
int open_proc(pid_t pid, const char *name, int flags);

#endif
