/*
 * Starts a program in a running rank container as the job's user: in all namespaces of its PID 1, without capabilities,
 * in a cgroup of its own below the container's, where it is found and killed with all that it started. It is no child of
 * PID 1, so nothing of it may be left when the container is dumped (docs/shell.md).
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arguments.h"
#include "enter.h"
#include "node.h"

static _Noreturn void usage(void)
{
	fail(2, "usage: rankshift-node enter --pid N --of CGROUP --into DIR --uid N --gid N [--groups N,...] --cwd DIR "
		"[--tty] [-- PROGRAM ARGS...]");
}

static int64_t number(const char *text, int64_t most)
{
	int64_t value;
	if (text == NULL || parse_number(text, 0, most, &value) < 0)
		usage();
	return value;
}

static void parse_groups(struct entry *entry, char *list)
{
	char *rest;
	for (char *one = strtok_r(list, ",", &rest); one != NULL; one = strtok_r(NULL, ",", &rest)) {
		if (entry->group_count == GROUPS_LIMIT)
			fail(2, "more than %d groups", GROUPS_LIMIT);
		entry->groups[entry->group_count++] = (gid_t)number(one, UINT32_MAX - 1);
	}
}

static void parse(struct entry *entry, int argc, char **argv)
{
	static const char *const names[] = { "--pid", "--of", "--into", "--uid", "--gid", "--groups", "--cwd" };
	char *values[sizeof names / sizeof *names] = { 0 };
	int i;
	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		size_t which = 0;
		if (strcmp(argv[i], "--tty") == 0) {
			entry->tty = 1;
			continue;
		}
		while (which < sizeof names / sizeof *names && strcmp(argv[i], names[which]) != 0)
			which++;
		if (which == sizeof names / sizeof *names || ++i == argc)
			usage();
		values[which] = argv[i];
	}
	entry->pid = (pid_t)number(values[0], INT_MAX);
	entry->of = values[1];
	entry->into = values[2];
	entry->uid = (uid_t)number(values[3], UINT32_MAX - 1);
	entry->gid = (gid_t)number(values[4], UINT32_MAX - 1);
	if (values[5] != NULL)
		parse_groups(entry, values[5]);
	entry->cwd = values[6];
	if (i < argc)
		entry->command = &argv[i + 1];
	if (entry->pid < 2 || entry->of == NULL || entry->into == NULL || entry->cwd == NULL || entry->uid == 0)
		usage();
}

/* A number may come to belong to another process: the descriptor cannot, and its cgroup says whose it is. */
static int open_init(const struct entry *entry)
{
	char file[64], line[PATH_MAX];
	int fd = (int)syscall(SYS_pidfd_open, entry->pid, 0), found = 0;
	if (fd < 0)
		fail(1, "no process %d: %s", entry->pid, strerror(errno));
	snprintf(file, sizeof file, "/proc/%d/cgroup", entry->pid);
	FILE *cgroups = fopen(file, "re");
	while (cgroups != NULL && fgets(line, sizeof line, cgroups) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		size_t length = strlen(line), wanted = strlen(entry->of);
		if (strncmp(line, "0::", 3) == 0 && length >= wanted && strcmp(line + length - wanted, entry->of) == 0)
			found = 1;
	}
	if (cgroups != NULL)
		fclose(cgroups);
	if (!found)
		fail(1, "process %d is not of %s", entry->pid, entry->of);
	return fd;
}

static void write_file(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail(1, "cannot write %s: %s", file, strerror(errno));
	close(fd);
}

/* What the agent has more of than the container: processors, priority, immunity from the out-of-memory killer. */
static void level_down(const struct entry *entry)
{
	cpu_set_t processors;
	char file[64], text[32];
	int fd;
	ssize_t length;
	if (sched_getaffinity(entry->pid, sizeof processors, &processors) == 0)
		sched_setaffinity(0, sizeof processors, &processors);
	sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){ 0 });
	setpriority(PRIO_PROCESS, 0, 0);
	snprintf(file, sizeof file, "/proc/%d/oom_score_adj", entry->pid);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	if (length > 0) {
		text[length] = '\0';
		write_file("/proc/self/oom_score_adj", text);
	}
}

static void enter_namespaces(int init)
{
	const int namespaces = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET;
	/* A kernel without time namespaces has nothing to enter there. */
	if (setns(init, namespaces | CLONE_NEWTIME) < 0 && (errno != EINVAL || setns(init, namespaces) < 0))
		fail(1, "cannot enter the container: %s", strerror(errno));
}

static void take_terminal(const struct entry *entry)
{
	if (setsid() < 0)
		fail(1, "no session: %s", strerror(errno));
	if (!entry->tty)
		return;
	/* From the session of our parent: job control is the shell's. */
	if (ioctl(0, TIOCSCTTY, 1) < 0 || fchown(0, entry->uid, (gid_t)-1) < 0 || fchmod(0, 0600) < 0)
		fail(1, "the terminal cannot be taken: %s", strerror(errno));
}

static void become_user(const struct entry *entry)
{
	for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
			fail(1, "capability %d stays: %s", capability, strerror(errno));
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	/* Not the agent's keys. */
	syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, NULL);
	if (setgroups(entry->group_count, entry->groups) < 0 || setresgid(entry->gid, entry->gid, entry->gid) < 0 ||
	    setresuid(entry->uid, entry->uid, entry->uid) < 0)
		fail(1, "cannot become user %u: %s", entry->uid, strerror(errno));
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };
	if (syscall(SYS_capset, &header, none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		fail(1, "privileges stay: %s", strerror(errno));
}

static _Noreturn void start(const struct entry *entry)
{
	sigset_t none;
	take_terminal(entry);
	become_user(entry);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	umask(022);
	if (chdir(entry->cwd) < 0 && chdir("/") < 0)
		fail(1, "no directory to begin in");
	for (int signal_number = 1; signal_number < NSIG; signal_number++)
		signal(signal_number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (entry->command != NULL && entry->command[0] != NULL) {
		execvp(entry->command[0], entry->command);
		dprintf(2, "cannot run %s: %s\r\n", entry->command[0], strerror(errno));
		_exit(errno == ENOENT ? 127 : 126);
	}
	execl("/bin/bash", "bash", "-i", (char *)NULL);
	execl("/bin/sh", "sh", "-i", (char *)NULL);
	dprintf(2, "the image has no shell: %s\r\n", strerror(errno));
	_exit(127);
}

int enter_container(int argc, char **argv)
{
	static struct entry entry;
	char file[PATH_MAX];
	int status;
	parse(&entry, argc, argv);
	if (syscall(SYS_close_range, 3, ~0U, 0) < 0)
		fail(1, "descriptors stay open: %s", strerror(errno));
	int init = open_init(&entry);
	snprintf(file, sizeof file, "%s/cgroup.procs", entry.into);
	write_file(file, "0");
	level_down(&entry);
	take_limits(entry.pid);
	enter_namespaces(init);
	close(init);
	/* The terminal's signals are the program's; we stay to tell how it ended. */
	for (int signal_number = 1; signal_number < NSIG; signal_number++)
		if (signal_number != SIGCHLD)
			signal(signal_number, SIG_IGN);
	pid_t child = fork();
	if (child < 0)
		fail(1, "no process: %s", strerror(errno));
	if (child == 0)
		start(&entry);
	/* With a pipe: its end is the program's alone. */
	if (!entry.tty)
		syscall(SYS_close_range, 0, ~0U, 0);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
