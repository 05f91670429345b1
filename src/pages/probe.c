/* Whether this kernel has what live pre-copy and lazy population need. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../init/arguments.h"
#include "pages.h"
#include "track.h"

static void ignore(const struct page_region *region, void *context)
{
	(void)region, (void)context;
}

static int open_userfaultfd(uint64_t features, const char *what)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		fail(1, "no userfaultfd: %s", strerror(errno));
	if (ioctl(fd, UFFDIO_API, &api) < 0)
		fail(1, "this kernel has no %s", what);
	return fd;
}

/*
 * probe: exit code 0 where all is there, else 1 with the reason. What serve needs is older (4.11) than what source
 * needs (6.7).
 */
int probe(int argc, char **argv)
{
	(void)argv;
	if (argc != 1)
		fail(2, "usage: rankshift-pages probe");
	close(open_userfaultfd(UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_UNMAP |
				       UFFD_FEATURE_EVENT_REMOVE,
			       "userfaultfd events (Linux 4.11, CONFIG_USERFAULTFD), or they are not permitted"));
	struct tracked self = { .userfaultfd = open_userfaultfd(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED,
								"asynchronous write-protection (Linux 6.7)") };
	char *memory = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct range range = { (uintptr_t)memory, (uintptr_t)memory + PAGE_BYTES };
	struct ranges reach = { .at = &range, .count = 1 };
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	*memory = 1;
	if (protect(&self, &reach) != 1 || scan(pagemap, &range, SCAN_PRESENT, 0, ignore, NULL) < 0)
		fail(1, "this kernel has no PAGEMAP_SCAN (Linux 6.7)");
	return 0;
}
