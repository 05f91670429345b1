/*
 * RFC 6069 (TCP-LCD): an ICMP host unreachable that quotes the peer's first unacknowledged segment makes Linux take back
 * one step of its backoff, and retransmit at once if that shorter interval has passed already (net/ipv4/tcp_ipv4.c,
 * tcp_v4_err and tcp_ld_RTO_revert). The kernel ignores one whose sequence number is not exactly the peer's snd_una, and
 * skips the step while the peer's process holds the socket: hence several rounds.
 */
#include "wake.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arguments.h"
#include "node.h"

#define ICMP_BYTES 8
#define IP_BYTES 20
#define TCP_BYTES 20
#define MESSAGE_BYTES (ICMP_BYTES + IP_BYTES + TCP_BYTES)

struct message {
	struct sockaddr_in to;
	struct in_addr from;
	unsigned char bytes[MESSAGE_BYTES];
};

static uint16_t internet_checksum(const unsigned char *bytes, size_t length)
{
	uint32_t sum = 0;
	for (size_t i = 0; i + 1 < length; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put16(unsigned char *bytes, uint16_t value)
{
	bytes[0] = (unsigned char)(value >> 8);
	bytes[1] = (unsigned char)value;
}

static void put32(unsigned char *bytes, uint32_t value)
{
	put16(bytes, (uint16_t)(value >> 16));
	put16(bytes + 2, (uint16_t)value);
}

/* ICMP header (RFC 792), then the quoted IPv4 and TCP header of the segment that the peer sent to the moved container. */
static void compose(struct message *message, const struct sockaddr_in *local, const struct sockaddr_in *remote,
		    uint32_t sequence)
{
	unsigned char *icmp = message->bytes, *ip = icmp + ICMP_BYTES, *tcp = ip + IP_BYTES;
	memset(message, 0, sizeof *message);
	message->to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = remote->sin_addr };
	message->from = local->sin_addr;
	icmp[0] = 3; /* destination unreachable */
	icmp[1] = 1; /* host */
	ip[0] = 0x45;
	put16(ip + 2, IP_BYTES + TCP_BYTES);
	ip[6] = 0x40; /* do not fragment */
	ip[8] = 64;
	ip[9] = IPPROTO_TCP;
	memcpy(ip + 12, &remote->sin_addr, 4);
	memcpy(ip + 16, &local->sin_addr, 4);
	put16(ip + 10, internet_checksum(ip, IP_BYTES));
	memcpy(tcp, &remote->sin_port, 2);
	memcpy(tcp + 2, &local->sin_port, 2);
	put32(tcp + 4, sequence);
	tcp[12] = TCP_BYTES / 4 << 4;
	tcp[13] = 0x10; /* ACK */
	put16(icmp + 2, internet_checksum(icmp, MESSAGE_BYTES));
}

/* LOCAL_IP LOCAL_PORT REMOTE_IP REMOTE_PORT SEQ */
static int parse_line(const char *line, struct message *message)
{
	char local_ip[16], local_port[8], remote_ip[16], remote_port[8], sequence[12], rest;
	struct sockaddr_in local, remote;
	int64_t port[2], number;
	if (sscanf(line, "%15s %7s %15s %7s %11s %c", local_ip, local_port, remote_ip, remote_port, sequence, &rest) != 5)
		return -1;
	if (inet_pton(AF_INET, local_ip, &local.sin_addr) != 1 || inet_pton(AF_INET, remote_ip, &remote.sin_addr) != 1 ||
	    parse_number(local_port, 1, 65535, &port[0]) < 0 || parse_number(remote_port, 1, 65535, &port[1]) < 0 ||
	    parse_number(sequence, 0, UINT32_MAX, &number) < 0)
		return -1;
	local.sin_port = htons((uint16_t)port[0]);
	remote.sin_port = htons((uint16_t)port[1]);
	compose(message, &local, &remote, (uint32_t)number);
	return 0;
}

static struct message *read_list(const char *file, size_t *count)
{
	char line[256];
	struct message *messages = NULL;
	size_t room = 0;
	FILE *list = fopen(file, "re");
	if (list == NULL)
		fail(1, "cannot read %s: %s", file, strerror(errno));
	for (*count = 0; fgets(line, sizeof line, list) != NULL; (*count)++) {
		if (*count == room) {
			room = room == 0 ? 64 : 2 * room;
			messages = realloc(messages, room * sizeof *messages);
			if (messages == NULL)
				fail(1, "no memory for %s", file);
		}
		if (parse_line(line, &messages[*count]) < 0)
			fail(1, "%s line %zu is not LOCAL_IP LOCAL_PORT REMOTE_IP REMOTE_PORT SEQ", file, *count + 1);
	}
	fclose(list);
	return messages;
}

/* From the moved container's own address, whatever others its namespace has (IP_PKTINFO, ip(7)). */
static void send_message(int fd, const struct message *message)
{
	union {
		char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec data = { (void *)message->bytes, MESSAGE_BYTES };
	struct msghdr header = { .msg_name = (void *)&message->to, .msg_namelen = sizeof message->to, .msg_iov = &data,
				 .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	struct cmsghdr *part = CMSG_FIRSTHDR(&header);
	struct in_pktinfo from = { .ipi_spec_dst = message->from };
	part->cmsg_level = IPPROTO_IP;
	part->cmsg_type = IP_PKTINFO;
	part->cmsg_len = CMSG_LEN(sizeof from);
	memcpy(CMSG_DATA(part), &from, sizeof from);
	sendmsg(fd, &header, MSG_DONTWAIT); /* a lost message is made good by the next round */
}

void wake_peers(const char *netns, const char *list, int64_t rounds, int64_t interval_us)
{
	size_t count;
	struct message *messages = read_list(list, &count);
	enter_network_namespace(netns);
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	if (fd < 0)
		fail(1, "no raw socket: %s", strerror(errno));
	for (int64_t round = 0; count > 0 && round < rounds; round++) {
		if (round > 0)
			usleep((useconds_t)interval_us);
		for (size_t i = 0; i < count; i++)
			send_message(fd, &messages[i]);
	}
	close(fd);
	free(messages);
}

int wake(int argc, char **argv)
{
	int64_t rounds = WAKE_ROUNDS, interval_us = WAKE_INTERVAL_US;
	int i = 3;
	for (; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--rounds") == 0) {
			if (parse_number(argv[i + 1], 1, 1000, &rounds) < 0)
				fail(2, "not a number of rounds: %s", argv[i + 1]);
		} else if (strcmp(argv[i], "--interval-us") == 0) {
			if (parse_number(argv[i + 1], 0, 999999, &interval_us) < 0)
				fail(2, "not a number of microseconds: %s", argv[i + 1]);
		} else {
			break;
		}
	}
	if (argc < 3 || i != argc)
		fail(2, "usage: rankshift-node wake NETNS_PATH LISTFILE [--rounds N] [--interval-us N]");
	wake_peers(argv[1], argv[2], rounds, interval_us);
	return 0;
}
