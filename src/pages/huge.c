/*
 * Transparent huge pages are one page to soft-dirty: a byte written makes 2 MiB dirty, and a program whose writes are
 * spread would be sent whole in every round.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../init/arguments.h"
#include "huge.h"
#include "mappings.h"
#include "pages.h"
#include "uapi.h"

#ifndef SYS_process_madvise
#define SYS_process_madvise 440 /* 5.10 */
#endif
#ifndef MADV_COLD
#define MADV_COLD 20
#endif

#define HUGE_BYTES (2UL << 20)

/*
 * Says of one page in each that it is cold: the kernel then splits the huge page to take it out
 * (madvise_cold_or_pageout_pte_range in mm/madvise.c). Where there is no huge page, that page is merely the first to go
 * when memory is short.
 */
static void split_mapping(int pidfd, const struct range *mapping)
{
	for (uint64_t at = (mapping->start + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES; at + HUGE_BYTES <= mapping->end;
	     at += HUGE_BYTES) {
		struct iovec page = { (void *)(uintptr_t)(at + PAGE_BYTES), PAGE_BYTES };
		syscall(SYS_process_madvise, pidfd, &page, 1UL, MADV_COLD, 0U);
	}
}

void split_huge_pages(const struct process *process, void *context)
{
	struct ranges mappings = { 0 };
	int pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
	(void)context;
	if (pidfd < 0)
		return;
	if (read_mappings(process->pid, &mappings, NULL) == 0)
		for (size_t i = 0; i < mappings.count; i++)
			split_mapping(pidfd, &mappings.at[i]);
	free(mappings.at);
	close(pidfd);
}

/* split CGROUP_DIR */
int split(int argc, char **argv)
{
	if (argc != 2)
		fail(2, "usage: rankshift-pages split CGROUP_DIR");
	if (each_process(argv[1], split_huge_pages, NULL) < 0)
		fail(1, "cannot read the processes of %s: %s", argv[1], strerror(errno));
	return 0;
}
