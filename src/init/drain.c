#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "node.h"
#include "tcp-sockets.h"

#define POLL_US 500

struct pending {
	unsigned long sockets;
	unsigned long long bytes;
};

static void add(const struct tcp_socket *socket, void *context)
{
	struct pending *pending = context;
	pending->sockets++;
	pending->bytes += socket->unacknowledged;
}

int drain(int argc, char **argv)
{
	int64_t limit_ms;
	struct pending pending;
	int armed = argc == 4 && strcmp(argv[3], "--armed") == 0;
	if ((argc != 3 && !armed) || parse_number(argv[2], 0, 3600000, &limit_ms) < 0)
		fail(2, "usage: rankshift-node drain NETNS_PATH DEADLINE_MS [--armed]");
	enter_network_namespace(argv[1]);
	int diag = open_tcp_diag();
	/* Started ahead of time: the work begins with a byte on standard input. */
	char go;
	if (armed && read(0, &go, 1) != 1)
		fail(1, "not needed");
	int64_t started_ns = monotonic_ns();
	for (;;) {
		pending = (struct pending){ 0 };
		if (each_tcp_socket(diag, TCP_BITS_SENDING, add, &pending) < 0)
			fail(1, "cannot list the sockets: %s", strerror(errno));
		if (pending.bytes == 0 || monotonic_ns() - started_ns >= limit_ms * 1000000)
			break;
		usleep(POLL_US);
	}
	printf("{\"drained\":%s,\"waitedMs\":%.3f,\"sockets\":%lu,\"pendingBytes\":%llu}\n",
	       pending.bytes == 0 ? "true" : "false", (double)(monotonic_ns() - started_ns) / 1e6, pending.sockets,
	       pending.bytes);
	return 0;
}
