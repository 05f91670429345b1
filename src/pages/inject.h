/* Takes a userfaultfd out of a running process. */
#ifndef RANKSHIFT_PAGES_INJECT_H
#define RANKSHIFT_PAGES_INJECT_H

#include <stdint.h>
#include <sys/types.h>

/*
 * Stops one thread of the process, has it open a userfaultfd, takes that over and closes it there. The other threads
 * run on. Returns the descriptor, or -1 with errno: ESRCH where the process is gone, EPERM where something else traces
 * it, ETIMEDOUT where the thread did not stop, in which case only the end of this program lets go of it.
 * *stopped_ns: how long the thread stood.
 */
int take_userfaultfd(pid_t pid, int64_t *stopped_ns);

#endif
