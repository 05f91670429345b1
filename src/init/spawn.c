#include "spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* PID 1 blocks every signal; a child starts with none blocked and every disposition at its default. */
static void reset_signals(void)
{
	sigset_t none;
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void exec_failed(const char *program)
{
	int code = errno == ENOENT ? 127 : 126;
	dprintf(2, "rankshift-init: cannot run %s: %s\n", program, strerror(errno));
	_exit(code);
}

pid_t spawn_shell(const char *text, int out, int err)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	setsid();
	dup2(out, 1);
	dup2(err, 2);
	reset_signals();
	execl("/bin/sh", "sh", "-c", text, (char *)NULL);
	exec_failed("/bin/sh");
}

pid_t spawn_main(char *const argv[])
{
	pid_t pid = fork();
	if (pid > 0)
		setpgid(pid, pid); /* in both, so that neither can be too early */
	if (pid != 0)
		return pid;
	setpgid(0, 0);
	reset_signals();
	execvp(argv[0], argv);
	exec_failed(argv[0]);
}
