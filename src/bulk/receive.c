#include "bulk.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../init/arguments.h"

static struct in_addr parse_address(const char *text)
{
	struct in_addr address;
	if (inet_pton(AF_INET, text, &address) != 1)
		fail(2, "not an IPv4 address: %s", text);
	return address;
}

/* Listens on the first free port of LOW-HIGH; prints it. */
static int listen_at(const char *address, const char *low, const char *high)
{
	int64_t from, to;
	if (parse_number(low, 0, 65535, &from) != 0 || parse_number(high, from, 65535, &to) != 0)
		fail(2, "not a range of ports: %s-%s", low, high);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = parse_address(address)};
	socklen_t size = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	for (; from <= to; from++) {
		at.sin_port = htons(from);
		if (bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 4) == 0) {
			getsockname(fd, (struct sockaddr *)&at, &size);
			printf("%d\n", ntohs(at.sin_port));
			fflush(stdout);
			return fd;
		}
		if (errno != EADDRINUSE)
			break;
	}
	fail(1, "no port of %s-%s is free: %s", low, high, strerror(errno));
}

/* The one connection from the source; the agent ends us where it never comes. */
static int accept_from(int listener, struct in_addr source)
{
	for (;;) {
		struct sockaddr_in from;
		socklen_t size = sizeof from;
		struct pollfd wait[2] = {{.fd = listener, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
		if (poll(wait, 2, -1) < 0)
			continue;
		if (wait[1].revents != 0)
			fail(1, "called off");
		int fd = accept4(listener, (struct sockaddr *)&from, &size, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		if (from.sin_addr.s_addr == source.s_addr)
			return fd;
		close(fd);
	}
}

/*
 * Takes bytes when they come, however long that is: the freeze may be a while after the connection. What is silent is
 * noticed by the agents' channel, whose end ends us. False where the program, -1 for none, wants nothing more.
 */
static bool wait_for_data(struct stream *stream, int socket, int program)
{
	while (!SSL_has_pending(stream->ssl)) {
		struct pollfd wait[3] = {{.fd = socket, .events = POLLIN}, {.fd = 0, .events = POLLIN}, {.fd = program}};
		if (poll(wait, 3, -1) < 0)
			continue;
		if (wait[2].revents != 0)
			return false;
		if (wait[1].revents != 0)
			fail(1, "called off");
		break;
	}
	return true;
}

static void write_all(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t written = write(fd, bytes, length);
		if (written < 0)
			fail(errno == ENOSPC || errno == ENOMEM ? 3 : 1, "cannot write: %s", strerror(errno));
		bytes += written;
		length -= written;
	}
}

/* Carries what comes to a program's input, up to the end of either. */
static int feed(struct stream *stream, char *buffer, int socket, char **program)
{
	int to = start_program(program);
	for (;;) {
		if (!wait_for_data(stream, socket, to))
			return end_of_program();
		size_t got = stream_read_some(stream, buffer, FRAME_BYTES);
		if (got == 0)
			break;
		for (size_t at = 0; at < got;) {
			ssize_t written = send(to, buffer + at, got - at, MSG_NOSIGNAL);
			if (written < 0 && errno == EINTR)
				continue;
			/* It has had enough, or said why it does not want more. */
			if (written < 0)
				return end_of_program();
			at += written;
		}
	}
	shutdown(to, SHUT_WR);
	return end_of_program();
}

/*
 * receive ADDRESS LOW-PORT HIGH-PORT SOURCE -- PROGRAM ARGS: the other end of `send ... -- PROGRAM`; the program reads
 * descriptor 3. Standard output: the port, the rest is the program's. Exit code: the program's.
 * receive ADDRESS LOW-PORT HIGH-PORT SOURCE DIR: takes what `send` sends from SOURCE into DIR, where none of it may
 * exist. Standard input: the key; its end calls it off. Standard output: the port, then the number of bytes when all are
 * there. Exit code 3 where DIR is full.
 */
int receive_main(int argc, char **argv)
{
	static char buffer[FRAME_BYTES];
	static struct stream stream;
	int carries = argc > 6 && strcmp(argv[5], "--") == 0;
	if (argc != 6 && !carries)
		fail(2, "usage: receive ADDRESS LOW-PORT HIGH-PORT SOURCE DIR|-- PROGRAM ARGS");
	end_with_parent();
	int dir = carries ? -1 : open(argv[5], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 && !carries)
		fail(2, "%s: %s", argv[5], strerror(errno));
	struct in_addr source = parse_address(argv[4]);
	read_key();
	int listener = listen_at(argv[1], argv[2], argv[3]);
	int socket = accept_from(listener, source);
	close(listener);
	set_socket_options(socket);
	stream_open(&stream, socket, 1);
	if (carries)
		return feed(&stream, buffer, socket, argv + 6);
	uint64_t sum = 0;
	uint32_t file = 0;
	int fd = -1;
	for (;;) {
		struct frame head;
		wait_for_data(&stream, socket, -1);
		stream_read(&stream, &head, sizeof head);
		if (head.file == 0)
			break;
		if (head.length > PIECE_BYTES || head.file > LARGEST_FILES)
			fail(1, "a frame that is too large");
		if (fd < 0) {
			char name[32];
			if (head.file != ++file)
				fail(1, "pages-%u.img came where pages-%u.img was due", head.file, file);
			snprintf(name, sizeof name, "pages-%u.img", file);
			fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
			if (fd < 0)
				fail(errno == ENOSPC || errno == ENOMEM ? 3 : 1, "cannot make %s: %s", name, strerror(errno));
		} else if (head.file != file) {
			fail(1, "pages-%u.img came inside pages-%u.img", head.file, file);
		}
		if (head.length == 0) {
			close(fd);
			fd = -1;
			continue;
		}
		stream_read(&stream, buffer, head.length);
		write_all(fd, buffer, head.length);
		sum += head.length;
	}
	uint64_t sent;
	stream_read(&stream, &sent, sizeof sent);
	if (fd >= 0 || sent != sum)
		fail(1, "%llu bytes were sent, %llu came", (unsigned long long)sent, (unsigned long long)sum);
	stream_write(&stream, &sum, sizeof sum);
	stream_flush(&stream);
	printf("%llu\n", (unsigned long long)sum);
	return 0;
}
