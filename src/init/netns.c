#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "node.h"

void enter_network_namespace(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail(1, "cannot open the network namespace %s: %s", path, strerror(errno));
	if (setns(fd, CLONE_NEWNET) < 0)
		fail(1, "cannot enter the network namespace %s: %s", path, strerror(errno));
	close(fd);
}
