#include "container.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../init/arguments.h"
#include "send.h"

static void note(const struct process *process, void *context)
{
	struct container *container = context;
	for (size_t i = 0; i < container->count; i++) {
		struct tracked *known = &container->at[i];
		if (known->process.pid != process->pid)
			continue;
		if (known->process.started == process->started) {
			known->listed = true;
			return;
		}
	}
	if (container->count == container->room) {
		container->room = container->room == 0 ? 64 : container->room * 2;
		container->at = realloc(container->at, container->room * sizeof *container->at);
		if (container->at == NULL)
			fail(1, "no memory for %zu processes", container->room);
	}
	container->at[container->count++] =
		(struct tracked){ .process = *process, .userfaultfd = -1, .listed = true, .whole = true };
}

void list_processes(struct container *container)
{
	size_t left = 0, known = container->count;
	for (size_t i = 0; i < known; i++)
		container->at[i].listed = false;
	if (each_process(container->cgroup, note, container) < 0)
		fail(1, "cannot read the processes of %s: %s", container->cgroup, strerror(errno));
	for (size_t i = 0; i < container->count; i++) {
		struct tracked *tracked = &container->at[i];
		if (tracked->listed) {
			container->at[left++] = *tracked;
			continue;
		}
		disarm(tracked);
		/* Sent before anything of a later process with the same number. */
		if (tracked->kept != 0)
			send_gone(tracked->process.inside);
	}
	container->count = left;
}

void arm_one(struct tracked *tracked, struct armed *armed)
{
	int64_t stopped_ns = 0;
	arm(tracked, &armed->mappings, &stopped_ns);
	if (stopped_ns > armed->longest_stop_ns)
		armed->longest_stop_ns = stopped_ns;
}

void arm_processes(struct container *container, struct armed *armed)
{
	for (size_t i = 0; i < container->count; i++)
		if (container->at[i].userfaultfd < 0)
			arm_one(&container->at[i], armed);
}

void disarm_processes(struct container *container)
{
	for (size_t i = 0; i < container->count; i++)
		disarm(&container->at[i]);
}

size_t unarmed_processes(const struct container *container)
{
	size_t count = 0;
	for (size_t i = 0; i < container->count; i++)
		count += container->at[i].userfaultfd < 0;
	return count;
}
