// rankshift-tcp-pair: what `rankshift doctor` dumps and restores to see whether CRIU works on this kernel.
// One process with both ends of an established TCP connection over loopback. Ten times a second it sends a counter
// through the connection and, when it came back, appends it as one line to FILE. It ends by itself after LIFETIME
// seconds of such rounds, so that nothing is left where nobody kills it.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { rounds_per_second = 10 };

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

// Both ends of a connection over loopback; the listening socket is closed, as MPI libraries do it after start.
static void connect_pair(int pair[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&address, &length))
		fail("listen");
	pair[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (pair[0] < 0 || connect(pair[0], (struct sockaddr *)&address, length))
		fail("connect");
	pair[1] = accept(listener, NULL, NULL);
	if (pair[1] < 0)
		fail("accept");
	close(listener);
}

static void round_trip(int pair[2], unsigned counter)
{
	unsigned received = 0;

	if (write(pair[0], &counter, sizeof counter) != sizeof counter)
		fail("send");
	if (read(pair[1], &received, sizeof received) != sizeof received)
		fail("receive");
	if (received != counter) {
		fprintf(stderr, "sent %u, received %u\n", counter, received);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	const struct timespec pause = { .tv_nsec = 1000000000L / rounds_per_second };
	int pair[2], out, null;

	if (argc != 3) {
		fprintf(stderr, "usage: rankshift-tcp-pair FILE LIFETIME_SECONDS\n");
		return 2;
	}
	const unsigned rounds = (unsigned)strtoul(argv[2], NULL, 10) * rounds_per_second;
	out = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (out < 0)
		fail(argv[1]);
	connect_pair(pair);
	// No tie to a terminal or to the caller's files: CRIU must find all of it inside the process.
	null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
		fail("/dev/null");
	if (null > 2)
		close(null);
	setsid();
	for (unsigned counter = 1; counter <= rounds; counter++) {
		char line[16];

		round_trip(pair, counter);
		int length = snprintf(line, sizeof line, "%u\n", counter);
		if (write(out, line, (size_t)length) != length)
			return 1;
		nanosleep(&pause, NULL);
	}
	return 0;
}
