#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "arguments.h"
#include "node.h"
#include "tcp-sockets.h"

#define POLL_US 500

struct sample {
	unsigned long sockets;
	int moved;
};

/* A restored socket begins with both counters at zero: CRIU makes it anew and puts it into its state by TCP_REPAIR. */
static void look(const struct tcp_socket *socket, void *context)
{
	struct sample *sample = context;
	sample->sockets++;
	if (socket->data_segments_in > 0 || socket->bytes_acked > 0)
		sample->moved = 1;
}

int progress(int argc, char **argv)
{
	int64_t limit_ms;
	struct sample sample;
	if (argc != 3 || parse_number(argv[2], 0, 3600000, &limit_ms) < 0)
		fail(2, "usage: rankshift-node progress NETNS_PATH TIMEOUT_MS");
	int64_t deadline_ns = monotonic_ns() + limit_ms * 1000000;
	enter_network_namespace(argv[1]);
	int diag = open_tcp_diag();
	for (;;) {
		struct timespec now;
		sample = (struct sample){ 0 };
		clock_gettime(CLOCK_REALTIME, &now);
		if (each_tcp_socket(diag, TCP_BIT_ESTABLISHED, look, &sample) < 0)
			fail(1, "cannot list the sockets: %s", strerror(errno));
		if (sample.moved) {
			printf("{\"firstDataRealtimeNs\":\"%lld\",\"sockets\":%lu}\n",
			       (long long)now.tv_sec * 1000000000 + now.tv_nsec, sample.sockets);
			return 0;
		}
		/* Nobody is connected from elsewhere: there is nobody to hear from. */
		if (sample.sockets == 0 || monotonic_ns() >= deadline_ns)
			break;
		usleep(POLL_US);
	}
	printf("{\"firstDataRealtimeNs\":null,\"sockets\":%lu}\n", sample.sockets);
	return 0;
}
