/*
 * For tests and benchmarks alone: both ends of one TCP connection between two network namespaces, driven by commands on
 * stdin, each answered by one line on stdout. "moved" is the end of the container that would move, "peer" the other.
 *
 *   send         peer sends one byte                                  -> sent NS
 *   receive      moved receives one byte (at most 20 s)               -> received NS (CLOCK_MONOTONIC)
 *   echo         one byte from the peer and one back                  -> echoed
 *   fill N       moved sends up to N bytes that the peer leaves alone -> filled N
 *   take         peer receives all that is there                      -> took N
 *   connection   LOCAL_IP LOCAL_PORT REMOTE_IP REMOTE_PORT SEQ of moved, as the wake wants it
 *   restore      moved is taken down in silence and made anew by TCP_REPAIR, as CRIU does it -> restored
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arguments.h"
#include "node.h"

enum { repair_on = 1, repair_off_silently = -1, receive_queue = 1, send_queue = 2 };

static const char *moved_netns;
static int peer, moved;

static void check(int failed, const char *what)
{
	if (failed)
		fail(1, "%s: %s", what, strerror(errno));
}

static void set_tcp(int fd, int option, int value)
{
	check(setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value) < 0, "setsockopt");
}

static uint32_t queue_sequence(int fd, int queue)
{
	uint32_t sequence;
	socklen_t size = sizeof sequence;
	set_tcp(fd, TCP_REPAIR_QUEUE, queue);
	check(getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &sequence, &size) < 0, "TCP_QUEUE_SEQ");
	return sequence;
}

static struct sockaddr_in address_of(const char *text)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	if (inet_pton(AF_INET, text, &address.sin_addr) != 1)
		fail(2, "not an IPv4 address: %s", text);
	return address;
}

static void connect_ends(char **argv)
{
	struct sockaddr_in peer_address = address_of(argv[2]), moved_address = address_of(argv[4]);
	socklen_t size = sizeof moved_address;
	struct timeval limit = { .tv_sec = 20 };
	enter_network_namespace(moved_netns);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	check(bind(listener, (struct sockaddr *)&moved_address, size) < 0 || listen(listener, 1) < 0, "listen");
	check(getsockname(listener, (struct sockaddr *)&moved_address, &size) < 0, "getsockname");
	enter_network_namespace(argv[1]);
	peer = socket(AF_INET, SOCK_STREAM, 0);
	check(bind(peer, (struct sockaddr *)&peer_address, sizeof peer_address) < 0, "bind");
	check(connect(peer, (struct sockaddr *)&moved_address, sizeof moved_address) < 0, "connect");
	moved = accept(listener, NULL, NULL);
	check(moved < 0, "accept");
	close(listener);
	set_tcp(peer, TCP_NODELAY, 1);
	setsockopt(moved, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

static void show_connection(void)
{
	struct sockaddr_in here, there;
	socklen_t size = sizeof here;
	char local[16], remote[16];
	getsockname(moved, (struct sockaddr *)&here, &size);
	getpeername(moved, (struct sockaddr *)&there, &size);
	inet_ntop(AF_INET, &here.sin_addr, local, sizeof local);
	inet_ntop(AF_INET, &there.sin_addr, remote, sizeof remote);
	set_tcp(moved, TCP_REPAIR, repair_on);
	uint32_t sequence = queue_sequence(moved, receive_queue);
	set_tcp(moved, TCP_REPAIR, repair_off_silently);
	printf("%s %d %s %d %u\n", local, ntohs(here.sin_port), remote, ntohs(there.sin_port), sequence);
}

/* What CRIU does with an established connection whose queues are empty (soccr). */
static void restore(void)
{
	struct sockaddr_in here, there;
	socklen_t size = sizeof here, options_size;
	struct timeval limit = { .tv_sec = 20 };
	int on = 1, stamp, mss;
	getsockname(moved, (struct sockaddr *)&here, &size);
	getpeername(moved, (struct sockaddr *)&there, &size);
	set_tcp(moved, TCP_REPAIR, repair_on);
	uint32_t in = queue_sequence(moved, receive_queue), out = queue_sequence(moved, send_queue);
	struct tcp_repair_window window;
	struct tcp_info info;
	options_size = sizeof window;
	check(getsockopt(moved, IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, &options_size) < 0, "TCP_REPAIR_WINDOW");
	options_size = sizeof info;
	check(getsockopt(moved, IPPROTO_TCP, TCP_INFO, &info, &options_size) < 0, "TCP_INFO");
	options_size = sizeof stamp;
	check(getsockopt(moved, IPPROTO_TCP, TCP_TIMESTAMP, &stamp, &options_size) < 0, "TCP_TIMESTAMP");
	options_size = sizeof mss;
	check(getsockopt(moved, IPPROTO_TCP, TCP_MAXSEG, &mss, &options_size) < 0, "TCP_MAXSEG");
	close(moved);
	enter_network_namespace(moved_netns);
	moved = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(moved, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(moved, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	set_tcp(moved, TCP_REPAIR, repair_on);
	set_tcp(moved, TCP_REPAIR_QUEUE, receive_queue);
	set_tcp(moved, TCP_QUEUE_SEQ, (int)in);
	set_tcp(moved, TCP_REPAIR_QUEUE, send_queue);
	set_tcp(moved, TCP_QUEUE_SEQ, (int)out);
	set_tcp(moved, TCP_REPAIR_QUEUE, 0);
	check(bind(moved, (struct sockaddr *)&here, sizeof here) < 0, "bind");
	check(connect(moved, (struct sockaddr *)&there, sizeof there) < 0, "connect");
	struct tcp_repair_opt options[] = {
		{ .opt_code = 2 /* MSS */, .opt_val = (uint32_t)mss },
		{ .opt_code = 3 /* window scale */, .opt_val = info.tcpi_snd_wscale | (uint32_t)info.tcpi_rcv_wscale << 16 },
		{ .opt_code = 4 /* SACK */ },
		{ .opt_code = 8 /* timestamps */ },
	};
	check(setsockopt(moved, IPPROTO_TCP, TCP_REPAIR_OPTIONS, options, sizeof options) < 0, "TCP_REPAIR_OPTIONS");
	set_tcp(moved, TCP_TIMESTAMP, stamp);
	check(setsockopt(moved, IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, sizeof window) < 0, "TCP_REPAIR_WINDOW");
	set_tcp(moved, TCP_REPAIR, 0); /* with the window probe that CRIU sends too */
}

static void fill(long bytes)
{
	static char zeros[65536];
	long done = 0;
	while (done < bytes) {
		size_t part = bytes - done < (long)sizeof zeros ? (size_t)(bytes - done) : sizeof zeros;
		ssize_t sent = send(moved, zeros, part, MSG_DONTWAIT);
		if (sent <= 0)
			break;
		done += sent;
	}
	printf("filled %ld\n", done);
}

static void take(void)
{
	static char bytes[65536];
	long done = 0;
	for (ssize_t got; (got = recv(peer, bytes, sizeof bytes, MSG_DONTWAIT)) > 0;)
		done += got;
	printf("took %ld\n", done);
}

static void obey(const char *command)
{
	char byte = 'x';
	if (strcmp(command, "send") == 0) {
		check(send(peer, &byte, 1, 0) != 1, "send");
		printf("sent %lld\n", (long long)monotonic_ns());
	} else if (strcmp(command, "receive") == 0) {
		check(recv(moved, &byte, 1, 0) != 1, "receive");
		printf("received %lld\n", (long long)monotonic_ns());
	} else if (strcmp(command, "echo") == 0) {
		check(send(peer, &byte, 1, 0) != 1 || recv(moved, &byte, 1, 0) != 1, "echo");
		check(send(moved, &byte, 1, 0) != 1 || recv(peer, &byte, 1, 0) != 1, "echo");
		printf("echoed\n");
	} else if (strncmp(command, "fill ", 5) == 0) {
		fill(strtol(command + 5, NULL, 10));
	} else if (strcmp(command, "take") == 0) {
		take();
	} else if (strcmp(command, "connection") == 0) {
		show_connection();
	} else if (strcmp(command, "restore") == 0) {
		restore();
		printf("restored\n");
	} else {
		fail(2, "unknown command: %s", command);
	}
}

int main(int argc, char **argv)
{
	char line[64];
	program_name = "tcp-ends";
	if (argc != 5)
		fail(2, "usage: tcp-ends PEER_NETNS PEER_IP MOVED_NETNS MOVED_IP");
	setvbuf(stdout, NULL, _IOLBF, 0);
	moved_netns = argv[3];
	connect_ends(argv);
	while (fgets(line, sizeof line, stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		obey(line);
	}
	return 0;
}
