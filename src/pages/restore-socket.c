#include "restore-socket.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../init/arguments.h"

int listen_for_restore(const char *directory)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	/* The name of a socket has 107 bytes, that of a directory may have more. */
	if (chdir(directory) < 0)
		fail(1, "cannot enter %s: %s", directory, strerror(errno));
	snprintf(address.sun_path, sizeof address.sun_path, "lazy-pages.socket");
	unlink(address.sun_path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1) < 0)
		fail(1, "cannot listen in %s: %s", directory, strerror(errno));
	return fd;
}

int take_descriptor(int connection)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte;
	struct iovec piece = { &byte, 1 };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof control };
	struct cmsghdr *header = NULL;
	int fd;
	if (recvmsg(connection, &message, MSG_CMSG_CLOEXEC) == 1)
		header = CMSG_FIRSTHDR(&message);
	if (header == NULL || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof fd))
		return -1;
	memcpy(&fd, CMSG_DATA(header), sizeof fd);
	return fd;
}
