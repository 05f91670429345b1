/* The processes of a container. */
#ifndef RANKSHIFT_PAGES_PROCESSES_H
#define RANKSHIFT_PAGES_PROCESSES_H

#include <stdint.h>
#include <sys/types.h>

struct process {
	pid_t pid;	  /* here */
	uint32_t inside;  /* in the container: CRIU's number of pagemap-N.img */
	uint64_t started; /* clock ticks since boot: tells a process from a later one with its number */
};

/*
 * Calls back for every living process (thread group) of a cgroup and of those below it. Zombies have no memory and are
 * left out. -1 with errno where the cgroup cannot be read.
 */
int each_process(const char *cgroup, void (*found)(const struct process *process, void *context), void *context);

/* A living thread of the process, one that is not in uninterruptible sleep if there is one; 0 where none lives. */
pid_t living_thread(pid_t pid);

#endif
