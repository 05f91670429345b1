#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../init/arguments.h"

enum { SILENCE_MS = 10000, BACKLOG = 16, UNSENT_BYTES = 262144 };

void set_socket_options(int socket)
{
	int yes = 1, silence = SILENCE_MS;
	struct timeval limit = {.tv_sec = SILENCE_MS / 1000};
	setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence, sizeof silence);
	setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

struct in_addr parse_address(const char *text)
{
	struct in_addr address;
	if (inet_pton(AF_INET, text, &address) != 1)
		fail(2, "not an IPv4 address: %s", text);
	return address;
}

void set_alone(int socket)
{
	int yes = 1, seconds = 2, probes = SILENCE_MS / 2000 - 1, unsent = UNSENT_BYTES;
	setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
	setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
	setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof seconds);
	setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
	setsockopt(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
}

int connect_to(const char *address, const char *port)
{
	int64_t number;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = parse_address(address)};
	if (parse_number(port, 1, 65535, &number) != 0)
		fail(2, "not a port: %s", port);
	to.sin_port = htons(number);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	set_socket_options(fd);
	if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
		fail(1, "cannot connect to %s:%s: %s", address, port, strerror(errno));
	return fd;
}

int listen_at(const char *address, const char *low, const char *high)
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
		if (bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, BACKLOG) == 0) {
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

int accept_from(int listener, struct in_addr source, int most_ms)
{
	for (;;) {
		struct sockaddr_in from;
		socklen_t size = sizeof from;
		struct pollfd wait[2] = {{.fd = listener, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
		int ready = poll(wait, 2, most_ms);
		if (ready == 0)
			fail(1, "a connection of the stream did not come");
		if (ready < 0)
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
