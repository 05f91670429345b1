#ifndef RANKSHIFT_ENTER_H
#define RANKSHIFT_ENTER_H

#include <sys/types.h>

#define GROUPS_LIMIT 65536

/* Who goes where: PID 1 of the container, the cgroup that it must be of, the one to go into. */
struct entry {
	pid_t pid;
	const char *of, *into, *cwd;
	uid_t uid;
	gid_t gid, groups[GROUPS_LIMIT];
	size_t group_count;
	int tty;
	char **command; /* NULL: a shell */
};

/* Takes the resource limits of a process, as far as they are not above our own. */
void take_limits(pid_t pid);

#endif
