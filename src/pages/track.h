/* Which pages of a process were written: asynchronous write-protection through a userfaultfd of its own. */
#ifndef RANKSHIFT_PAGES_TRACK_H
#define RANKSHIFT_PAGES_TRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "mappings.h"
#include "processes.h"
#include "uapi.h"

struct tracked {
	struct process process;
	int userfaultfd;     /* -1: not armed */
	bool listed;	     /* seen when the processes were last listed */
	bool whole;	     /* the next round takes all pages: nothing was sent yet, or a sample used up what was known */
	uint64_t kept;	     /* checksum of the list of mappings that the target was told */
	uint64_t data_pages; /* sent so far */
};

/*
 * Arms a process and registers its mappings. 0, or -1 with errno where it cannot be armed (as take_userfaultfd). Fails
 * for good where the kernel lacks asynchronous write-protection.
 */
int arm(struct tracked *tracked, size_t *mappings, int64_t *stopped_ns);

/* Lets go of everything: the process is as it was before. */
void disarm(struct tracked *tracked);

/*
 * Registers every mapping of the process, with the free space around it: one that grew since it was read would else be
 * cut in two where it ended, and a later mremap of the whole would fail (EFAULT). Mappings of other kinds that appear in
 * that space are write-protected by no one, so it does not matter. What cannot be registered (another userfaultfd's,
 * MAP_DROPPABLE) stays out. The number of mappings; -1 with errno ESRCH where the process has started another program
 * and so has other memory.
 */
int protect(struct tracked *tracked, const struct ranges *reach);

enum scan {
	SCAN_WRITTEN, /* pages written since they were last protected; protects them again */
	SCAN_PRESENT, /* all pages; protects them */
	SCAN_LOOK,    /* all pages, PAGE_IS_WRITTEN in those that were written; changes nothing */
};

/*
 * Calls back for each run of present pages of a mapping, guard pages left out, with PAGE_IS_PFNZERO where it was never
 * written. At most `at_once` pages are protected before the callback sees them. Parts that are not registered are
 * passed over but by SCAN_LOOK. 0; -1 with errno, ESRCH where the process is gone.
 */
int scan(int pagemap, const struct range *mapping, enum scan what, uint64_t at_once,
	 void (*found)(const struct page_region *region, void *context), void *context);

/* Whether every part of the mapping is registered with a userfaultfd like ours. */
bool is_registered(int pagemap, const struct range *mapping);

#endif
