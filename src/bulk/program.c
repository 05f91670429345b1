#include "bulk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../init/arguments.h"

enum { THEIR_DESCRIPTOR = 3, BUFFER_BYTES = 4 * FRAME_BYTES };

static pid_t program;

int start_program(char **argv)
{
	int ends[2], size = BUFFER_BYTES;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		fail(1, "no socket: %s", strerror(errno));
	for (int i = 0; i < 2; i++)
		setsockopt(ends[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
	program = fork();
	if (program < 0)
		fail(1, "cannot fork: %s", strerror(errno));
	if (program == 0) {
		/* Where it has the number already, dup2 does nothing and the descriptor would be closed. */
		if (ends[1] == THEIR_DESCRIPTOR)
			fcntl(THEIR_DESCRIPTOR, F_SETFD, 0);
		else
			dup2(ends[1], THEIR_DESCRIPTOR);
		execv(argv[0], argv);
		fail(1, "%s cannot be started: %s", argv[0], strerror(errno));
	}
	close(ends[1]);
	return ends[0];
}

int end_of_program(void)
{
	int status;
	while (waitpid(program, &status, 0) < 0)
		if (errno != EINTR)
			fail(1, "cannot wait: %s", strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
