/* The processes that are tracked. */
#ifndef RANKSHIFT_PAGES_CONTAINER_H
#define RANKSHIFT_PAGES_CONTAINER_H

#include <stddef.h>

#include "track.h"

struct container {
	const char *cgroup;
	struct tracked *at;
	size_t count, room;
};

struct armed {
	size_t mappings;
	int64_t longest_stop_ns;
};

/* Lists the processes anew: new ones are added, not armed; those that ended are let go of and the target is told. */
void list_processes(struct container *container);

/* Arms what is not armed; a process that cannot be armed stays so, and is sent whole in the end. */
void arm_processes(struct container *container, struct armed *armed);

/* Arms one process. */
void arm_one(struct tracked *tracked, struct armed *armed);

void disarm_processes(struct container *container);

/* Processes that are not armed. */
size_t unarmed_processes(const struct container *container);

#endif
