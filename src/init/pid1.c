#include "pid1.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arguments.h"
#include "launch.h"
#include "spawn.h"

#define TERM_MS 2000 /* from SIGTERM to SIGKILL when the container ends */
#define KILL_MS 2000 /* from SIGKILL to our own end, which takes the namespace with it */

struct options {
	const char *secret_file, *cwd, *out, *err, *exit_file;
	struct in_addr address;
	int64_t port;
	char **program; /* NULL: serve until SIGTERM */
};

static struct secret secret;
static char exit_temporary[PATH_MAX];

static void usage(const char *why, const char *what)
{
	fail(2,
	     "%s%s\nusage: rankshift-init [--port N] [--address IPV4] [--secret-file FILE] [--cwd DIR] [--stdout FILE]\n"
	     "       [--stderr FILE] [--exit-file FILE] [-- PROGRAM ARGS...]",
	     why, what);
}

static void parse(struct options *options, int argc, char **argv)
{
	*options = (struct options){ .secret_file = LAUNCH_SECRET_FILE, .port = LAUNCH_PORT };
	for (int i = 1; i < argc; i += 2) {
		const char *name = argv[i], *value = argv[i + 1];
		if (strcmp(name, "--") == 0) {
			if (value == NULL)
				usage("no program after --", "");
			options->program = &argv[i + 1];
			return;
		}
		if (value == NULL)
			usage("no value for ", name);
		if (strcmp(name, "--port") == 0) {
			if (parse_number(value, 1, 65535, &options->port) < 0)
				usage("not a port: ", value);
		} else if (strcmp(name, "--address") == 0) {
			if (inet_pton(AF_INET, value, &options->address) != 1)
				usage("not an IPv4 address: ", value);
		} else if (strcmp(name, "--secret-file") == 0) {
			options->secret_file = value;
		} else if (strcmp(name, "--cwd") == 0) {
			options->cwd = value;
		} else if (strcmp(name, "--stdout") == 0) {
			options->out = value;
		} else if (strcmp(name, "--stderr") == 0) {
			options->err = value;
		} else if (strcmp(name, "--exit-file") == 0) {
			options->exit_file = value;
		} else {
			usage("unknown option: ", name);
		}
	}
}

static void put_at(int fd, const char *file, int flags)
{
	int opened = open(file, flags | O_CLOEXEC, 0600);
	if (opened < 0)
		fail(1, "cannot open %s: %s", file, strerror(errno));
	if (opened != fd) {
		dup2(opened, fd);
		close(opened);
	} else {
		fcntl(fd, F_SETFD, 0);
	}
}

/* No descriptor may lead out of the container: CRIU cannot dump a file that lies on none of the container's mounts. */
static void own_descriptors(const struct options *options)
{
	put_at(0, "/dev/null", O_RDONLY);
	if (options->out != NULL)
		put_at(1, options->out, O_WRONLY | O_APPEND | O_CREAT);
	if (options->err != NULL)
		put_at(2, options->err, O_WRONLY | O_APPEND | O_CREAT);
	syscall(SYS_close_range, 3U, ~0U, 0U);
}

static int exit_code_of(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void write_exit_file(const char *file, int code)
{
	int fd = open(exit_temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || dprintf(fd, "%d\n", code) < 0 || fsync(fd) < 0 || rename(exit_temporary, file) < 0)
		dprintf(2, "rankshift-init: cannot write %s: %s\n", file, strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* Reaps every child that has ended. 1 if main was among them, its code in *code. */
static int reap(pid_t main_pid, int *code)
{
	int status, main_ended = 0;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == main_pid) {
			main_ended = 1;
			*code = exit_code_of(status);
		} else {
			launch_child_ended(pid, exit_code_of(status));
		}
	}
	return main_ended;
}

/* Reaps until no child is left (1) or the time is over (0). */
static int reap_all(int64_t limit_ms)
{
	int64_t deadline = monotonic_ms() + limit_ms;
	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);
		int64_t left = deadline - monotonic_ms();
		if (pid < 0 && errno == ECHILD)
			return 1;
		if (left <= 0)
			return 0;
		if (pid == 0) {
			struct timespec wait = { .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };
			sigtimedwait(&child, NULL, &wait);
		}
	}
}

/* Ends everything else in the container: kill(-1) spares PID 1 itself and reaches no other namespace. */
static void end_all(void)
{
	launch_close();
	kill(-1, SIGTERM);
	kill(-1, SIGCONT);
	if (reap_all(TERM_MS))
		return;
	kill(-1, SIGKILL);
	reap_all(KILL_MS);
}

/* Takes the signals that have come. 1 when it is time to end, with the code in *code. */
static int take_signals(int signals, pid_t main_pid, int *code)
{
	struct signalfd_siginfo info;
	int end = 0;
	while (read(signals, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo == SIGCHLD) {
			if (reap(main_pid, code))
				end = 1;
		} else if (main_pid > 0) {
			if (!end)
				kill(-main_pid, (int)info.ssi_signo);
		} else if (info.ssi_signo == SIGTERM) {
			*code = 0;
			end = 1;
		}
	}
	return end;
}

static int serve(int signals, pid_t main_pid)
{
	static struct pollfd polls[1 + LAUNCH_POLLS];
	int code = 0;
	for (;;) {
		int timeout_ms = -1;
		polls[0] = (struct pollfd){ .fd = signals, .events = POLLIN };
		int count = 1 + launch_wait_for(&polls[1], &timeout_ms);
		/* A restore ends a poll with EINTR; everything below tolerates having nothing to do. */
		poll(polls, (nfds_t)count, timeout_ms);
		if (take_signals(signals, main_pid, &code))
			return code;
		launch_advance();
	}
}

int pid1(int argc, char **argv)
{
	struct options options;
	const char *why;
	sigset_t all;
	pid_t main_pid = 0;
	parse(&options, argc, argv);
	/* Ending takes everything in the PID namespace along: outside a container that would be the machine. */
	if (getpid() != 1)
		fail(1, "must be PID 1 of a container");
	own_descriptors(&options);
	if (secret_read(&secret, options.secret_file, &why) < 0)
		fail(1, "cannot use the secret %s: %s", options.secret_file, why);
	if (options.exit_file != NULL) {
		if (snprintf(exit_temporary, sizeof exit_temporary, "%s.tmp", options.exit_file) >= PATH_MAX)
			fail(1, "the name of the exit file is too long");
		if (unlink(options.exit_file) < 0 && errno != ENOENT)
			fail(1, "cannot remove the old %s: %s", options.exit_file, strerror(errno));
	}
	if (options.cwd != NULL && chdir(options.cwd) < 0)
		fail(1, "cannot change to %s: %s", options.cwd, strerror(errno));
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	int signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		fail(1, "no signalfd: %s", strerror(errno));
	if (launch_listen(&options.address, (uint16_t)options.port, &secret) < 0)
		fail(1, "cannot listen on port %d: %s", (int)options.port, strerror(errno));
	if (options.program != NULL && (main_pid = spawn_main(options.program)) < 0)
		fail(1, "cannot start %s: %s", options.program[0], strerror(errno));
	int code = serve(signals, main_pid);
	if (options.program != NULL && options.exit_file != NULL)
		write_exit_file(options.exit_file, code);
	end_all();
	return code;
}
