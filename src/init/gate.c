/*
 * CRIU's action script (--action-script; the action is in CRTOOLS_SCRIPT_ACTION). At post-restore the container is fully
 * restored, still stopped and its network still locked: exit 0 resumes it, anything else kills it. There it waits for
 * the decision, and only the decision ends the wait.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "arguments.h"
#include "node.h"
#include "wake.h"

static char directory[PATH_MAX];

static const char *in_directory(char path[PATH_MAX + 32], const char *name)
{
	snprintf(path, PATH_MAX + 32, "%s/%s", directory, name);
	return path;
}

/* One line per action; the log must never decide anything, so a failure is only said. */
static void log_action(const char *action)
{
	char path[PATH_MAX + 32], line[128];
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	int length = snprintf(line, sizeof line, "%.64s %lld\n", action, (long long)now.tv_sec * 1000000000 + now.tv_nsec);
	int fd = open(in_directory(path, "gate.log"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, line, (size_t)length) != length)
		dprintf(2, "%s: cannot write %s: %s\n", program_name, path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void announce(void)
{
	char temporary[PATH_MAX + 32], ready[PATH_MAX + 32];
	const char *pid = getenv("CRTOOLS_INIT_PID");
	int fd = open(in_directory(temporary, "gate.ready.tmp"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || dprintf(fd, "%s\n", pid == NULL ? "" : pid) < 0 ||
	    rename(temporary, in_directory(ready, "gate.ready")) < 0)
		fail(1, "cannot write %s: %s", temporary, strerror(errno));
	close(fd);
}

/* The fields of /proc/PID/stat that say who a process is: its name, and its parent. -1 if it is gone. */
static int identify(pid_t pid, char name[17], pid_t *parent)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	FILE *stat = fopen(path, "re");
	int fields = stat == NULL ? 0 : fscanf(stat, "%*d (%16[^)]) %*c %d", name, parent);
	if (stat != NULL)
		fclose(stat);
	return fields == 2 ? 0 : -1;
}

/* CRIU runs its script by sh -c, and dash stays between the two: then CRIU is the shell's parent. -1: not to be had. */
static int open_criu(void)
{
	char name[17];
	pid_t criu = getppid(), parent;
	if (identify(criu, name, &parent) == 0 &&
	    (strcmp(name, "sh") == 0 || strcmp(name, "dash") == 0 || strcmp(name, "bash") == 0))
		criu = parent;
	return (int)syscall(SYS_pidfd_open, criu, 0);
}

/* Reads one line; what does not fit is dropped, so that it can be no decision. */
static void read_line(int fd, int criu, char line[16])
{
	size_t length = 0;
	for (;;) {
		char byte;
		struct pollfd either[] = { { .fd = fd, .events = POLLIN }, { .fd = criu, .events = POLLIN } };
		if (poll(either, 2, -1) < 0)
			continue;
		if (either[1].revents != 0)
			_exit(1); /* CRIU is dead: nobody would read our answer, and nobody may think that we wait */
		ssize_t got = read(fd, &byte, 1);
		if (got < 0 && errno != EINTR)
			fail(1, "cannot read the gate: %s", strerror(errno));
		if (got <= 0)
			continue;
		if (byte == '\n')
			break;
		if (length < 15)
			line[length] = byte;
		length++;
	}
	line[length <= 15 ? length : 0] = '\0';
}

static int wait_for_decision(void)
{
	static const int ignored[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2 };
	char path[PATH_MAX + 32], line[16];
	/* The end of the agent, by whatever signal its group got, is no decision. */
	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
		signal(ignored[i], SIG_IGN);
	/* The shell's death is a refusal to CRIU, and CRIU's own death ends the restore. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int criu = open_criu();
	if (mkfifo(in_directory(path, "gate.fifo"), 0600) < 0 && errno != EEXIST)
		fail(1, "cannot make %s: %s", path, strerror(errno));
	/* Read and write: without a writer of its own the FIFO would end whenever the agent does. */
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat status;
	if (fd < 0 || fstat(fd, &status) < 0)
		fail(1, "cannot open %s: %s", path, strerror(errno));
	if (!S_ISFIFO(status.st_mode))
		fail(1, "%s is no FIFO", path);
	announce();
	/* CRIU's descriptors hold namespaces and images; the gate keeps the FIFO, and CRIU's pidfd. */
	fd = fcntl(fd, F_DUPFD, 10); /* out of the way, should CRIU have started us without 0 and 1 */
	criu = criu < 0 ? -1 : fcntl(criu, F_DUPFD, 10);
	dup2(fd, 0);
	if (criu >= 0)
		criu = dup2(criu, 1);
	syscall(SYS_close_range, criu >= 0 ? 2U : 1U, ~0U, 0U);
	for (;;) {
		read_line(0, criu, line);
		if (strcmp(line, "open") == 0)
			return 0;
		if (strcmp(line, "refuse") == 0)
			return 1;
	}
}

/* CRIU waits for its script: the wake runs on in a process of its own. */
static void wake_detached(void)
{
	char list[PATH_MAX + 32], path[PATH_MAX + 32], netns[PATH_MAX];
	if (access(in_directory(list, "wake.list"), F_OK) < 0)
		return;
	FILE *file = fopen(in_directory(path, "wake.netns"), "re");
	if (file == NULL || fgets(netns, sizeof netns, file) == NULL) {
		dprintf(2, "%s: cannot read %s\n", program_name, path);
		return;
	}
	fclose(file);
	netns[strcspn(netns, "\n")] = '\0';
	if (fork() != 0)
		return;
	setsid();
	syscall(SYS_close_range, 0U, ~0U, 0U);
	if (open("/dev/null", O_RDWR) != 0 || dup(0) != 1 || dup(0) != 2)
		_exit(1);
	wake_peers(netns, list, WAKE_ROUNDS, WAKE_INTERVAL_US);
	_exit(0);
}

int gate(int argc, char **argv)
{
	const char *action = getenv("CRTOOLS_SCRIPT_ACTION");
	if (argc != 2 || argv[1][0] != '/')
		fail(2, "usage: rankshift-node gate DIR (absolute)");
	if (action == NULL || *action == '\0')
		fail(2, "CRTOOLS_SCRIPT_ACTION is not set: only CRIU calls this");
	if (snprintf(directory, sizeof directory, "%s", argv[1]) >= (int)sizeof directory)
		fail(2, "the directory's name is too long");
	log_action(action);
	if (strcmp(action, "post-restore") == 0)
		return wait_for_decision();
	if (strcmp(action, "pre-resume") == 0)
		wake_detached();
	return 0;
}
