#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../init/arguments.h"

static void kill_cgroup(const char *cgroup)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/cgroup.kill", cgroup);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1)
		fprintf(stderr, "%s: %s: %s\n", program_name, path, strerror(errno));
	else
		close(fd);
}

/* Before the kill: whoever sees the container dead must know why. */
static void tell_loss(const char *directory)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/lost", directory);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		fprintf(stderr, "%s: %s: %s\n", program_name, path, strerror(errno));
	else
		close(fd);
}

struct guarded *divide(const char *cgroup, const char *work_directory)
{
	int status;
	struct guarded *guarded = mmap(NULL, sizeof *guarded, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (guarded == MAP_FAILED)
		fail(1, "no memory: %s", strerror(errno));
	signal(SIGPIPE, SIG_IGN);
	/* Without us there is no way out but to kill the container. Where it is not permitted we are killed as others are. */
	int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (score >= 0) {
		ssize_t ignored = write(score, "-1000", 5);
		(void)ignored;
		close(score);
	}
	pid_t child = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (child < 0)
		fail(1, "cannot fork: %s", strerror(errno));
	if (child == 0)
		return guarded;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			fail(1, "cannot wait: %s", strerror(errno));
	if (guarded->lacking) {
		fprintf(stderr, "%s: the container lacks memory that nobody has any more: it is killed\n", program_name);
		tell_loss(work_directory);
		kill_cgroup(cgroup);
	}
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}
