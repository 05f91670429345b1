/* Starting children of PID 1. */
#ifndef RANKSHIFT_SPAWN_H
#define RANKSHIFT_SPAWN_H

#include <sys/types.h>

/* Runs /bin/sh -c TEXT in a session of its own, stdin from PID 1's (/dev/null), stdout and stderr to the given pipes. */
pid_t spawn_shell(const char *text, int out, int err);

/*
 * Runs the main program in a process group of its own. Not in a session of its own: there the group would be orphaned
 * and the kernel would drop SIGTSTP (POSIX, orphaned process group; kernel/signal.c get_signal).
 */
pid_t spawn_main(char *const argv[]);

#endif
