/* What keeps a restored container from running on without its memory. */
#ifndef RANKSHIFT_PAGES_GUARD_H
#define RANKSHIFT_PAGES_GUARD_H

#include <stdbool.h>

/* Seen by both. */
struct guarded {
	volatile bool lacking; /* the container may run, and lacks pages that only we have */
};

/*
 * Divides into a guard and a child, which returns. The guard shares the child's descriptors: when the child dies the
 * userfaultfds stay open, so that what is missing is waited for. Were they closed, the kernel would hand out zeros
 * instead, and no one would notice. The guard then leaves a file `lost` in the work directory, kills the container's cgroup
 * and ends with the child's exit code.
 */
struct guarded *divide(const char *cgroup, const char *work_directory);

#endif
