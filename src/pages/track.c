#include "track.h"

#include <errno.h>
#include <unistd.h>

#include "../init/arguments.h"
#include "inject.h"

/*
 * The kernel gathers regions in a buffer of 512 (fs/proc/task_mmu.c, pagemap_scan_init_bounce_buffer). With room for
 * more it goes over the range in several walks, and after a last one that came to the end it reports walk_end of the one
 * before: pages would be seen twice (seen on 6.18).
 */
#define REGIONS 512

static const uint64_t features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_PAGEFAULT_FLAG_WP |
				 UFFD_FEATURE_WP_HUGETLBFS_SHMEM;

int arm(struct tracked *tracked, size_t *mappings, int64_t *stopped_ns)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	static struct ranges ranges, reach;
	int registered;
	int fd = take_userfaultfd(tracked->process.pid, stopped_ns);
	if (fd < 0 && (errno == ENOSYS || errno == ETIMEDOUT))
		fail(1, "process %d: %s", (int)tracked->process.pid,
		     errno == ENOSYS ? "this kernel has no userfaultfd" : "it could not be stopped for a moment");
	if (fd < 0)
		return -1;
	if (ioctl(fd, UFFDIO_API, &api) < 0)
		fail(1, "this kernel has no asynchronous write-protection (Linux 6.7, CONFIG_PTE_MARKER_UFFD_WP)");
	tracked->userfaultfd = fd;
	tracked->whole = true;
	if (read_mappings(tracked->process.pid, &ranges, &reach) < 0 || (registered = protect(tracked, &reach)) < 0) {
		disarm(tracked);
		errno = ESRCH;
		return -1;
	}
	*mappings += (size_t)registered;
	return 0;
}

void disarm(struct tracked *tracked)
{
	if (tracked->userfaultfd >= 0)
		close(tracked->userfaultfd);
	tracked->userfaultfd = -1;
}

int protect(struct tracked *tracked, const struct ranges *reach)
{
	int registered = 0;
	for (size_t i = 0; i < reach->count; i++) {
		struct uffdio_register request = {
			.range = { .start = reach->at[i].start, .len = reach->at[i].end - reach->at[i].start },
			.mode = UFFDIO_REGISTER_MODE_WP,
		};
		if (ioctl(tracked->userfaultfd, UFFDIO_REGISTER, &request) == 0)
			registered++;
		else if (errno == ESRCH || errno == ENOMEM)
			return -1;
	}
	return registered;
}

static bool no_guard_pages; /* the kernel does not know the category */

static long call(int pagemap, struct pm_scan_arg *argument)
{
	if (!no_guard_pages) {
		struct pm_scan_arg with = *argument;
		with.category_mask |= PAGE_IS_GUARD;
		with.category_inverted |= PAGE_IS_GUARD;
		long count = ioctl(pagemap, PAGEMAP_SCAN, &with);
		if (count >= 0 || errno != EINVAL) {
			argument->walk_end = with.walk_end;
			return count;
		}
		no_guard_pages = true;
	}
	return ioctl(pagemap, PAGEMAP_SCAN, argument);
}

int scan(int pagemap, const struct range *mapping, enum scan what, uint64_t at_once,
	 void (*found)(const struct page_region *region, void *context), void *context)
{
	static struct page_region regions[REGIONS];
	for (uint64_t at = mapping->start; at < mapping->end;) {
		struct pm_scan_arg argument = {
			.size = sizeof argument,
			/*
			 * Not PM_SCAN_CHECK_WPASYNC: where the mapping has been replaced in part, the call would fail after it
			 * had protected pages in front of that, and they would be lost to us.
			 */
			.flags = what == SCAN_LOOK ? 0 : PM_SCAN_WP_MATCHING,
			.start = at,
			.end = mapping->end,
			.vec = (uintptr_t)regions,
			.vec_len = REGIONS,
			.max_pages = at_once,
			.category_mask = what == SCAN_LOOK    ? 0 :
					 what == SCAN_PRESENT ? PAGE_IS_WPALLOWED :
								PAGE_IS_WPALLOWED | PAGE_IS_WRITTEN,
			.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
			.return_mask = PAGE_IS_PFNZERO | PAGE_IS_WRITTEN,
		};
		long count = call(pagemap, &argument);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -1;
		for (long i = 0; i < count; i++)
			found(&regions[i], context);
		/* An address space that is gone is walked nowhere. */
		if (argument.walk_end <= at) {
			errno = ESRCH;
			return -1;
		}
		at = argument.walk_end;
	}
	return 0;
}

bool is_registered(int pagemap, const struct range *mapping)
{
	struct page_region region;
	/* Only the mappings matter: the first page ends the walk. */
	struct pm_scan_arg argument = {
		.size = sizeof argument,
		.flags = PM_SCAN_CHECK_WPASYNC,
		.start = mapping->start,
		.end = mapping->end,
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.max_pages = 1,
		.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.return_mask = PAGE_IS_PRESENT,
	};
	return ioctl(pagemap, PAGEMAP_SCAN, &argument) >= 0;
}
