#include "tcp-sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arguments.h"

int open_tcp_diag(void)
{
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		fail(1, "no socket diagnostics of the kernel: %s", strerror(errno));
	return fd;
}

/* Both ends in one container: such a connection moves as a whole. */
static int is_loopback(const struct inet_diag_msg *message)
{
	const struct inet_diag_sockid *id = &message->id;
	int words = message->idiag_family == AF_INET ? 1 : 4;
	if (memcmp(id->idiag_src, id->idiag_dst, (size_t)words * 4) == 0)
		return 1;
	/* An IPv4 address that was mapped into IPv6 has it in its last word. */
	int last = words - 1;
	if (words == 4 && (id->idiag_src[0] != 0 || id->idiag_src[1] != 0 || id->idiag_src[2] != htonl(0xffff)))
		return 0;
	return ntohl(id->idiag_src[last]) >> 24 == 127 && ntohl(id->idiag_dst[last]) >> 24 == 127;
}

static void fill_from_info(struct tcp_socket *socket, const struct rtattr *attribute)
{
	/* The kernel's tcp_info may be shorter or longer than the one of our headers. */
	struct tcp_info info;
	size_t length = RTA_PAYLOAD(attribute);
	memset(&info, 0, sizeof info);
	memcpy(&info, RTA_DATA(attribute), length < sizeof info ? length : sizeof info);
	socket->data_segments_in = info.tcpi_data_segs_in;
	socket->bytes_acked = info.tcpi_bytes_acked;
}

static void take(const struct nlmsghdr *header, void (*each)(const struct tcp_socket *, void *), void *context)
{
	const struct inet_diag_msg *message = NLMSG_DATA(header);
	struct tcp_socket socket = { .unacknowledged = message->idiag_wqueue };
	int length = (int)(header->nlmsg_len - NLMSG_LENGTH(sizeof *message));
	if (is_loopback(message))
		return;
	socket.cookie = (uint64_t)message->id.idiag_cookie[1] << 32 | message->id.idiag_cookie[0];
	for (const struct rtattr *at = (const struct rtattr *)(message + 1); RTA_OK(at, length); at = RTA_NEXT(at, length))
		if (at->rta_type == INET_DIAG_INFO)
			fill_from_info(&socket, at);
	each(&socket, context);
}

static int dump(int diag, int family, uint32_t states, void (*each)(const struct tcp_socket *, void *), void *context)
{
	static char buffer[65536] __attribute__((aligned(8)));
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 request;
	} ask = {
		.header = { .nlmsg_len = sizeof ask, .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.request = { .sdiag_family = (unsigned char)family, .sdiag_protocol = IPPROTO_TCP,
			     .idiag_ext = 1 << (INET_DIAG_INFO - 1), .idiag_states = states },
	};
	if (send(diag, &ask, sizeof ask, 0) < 0)
		return -1;
	for (;;) {
		ssize_t got = recv(diag, buffer, sizeof buffer, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		unsigned int length = (unsigned int)got;
		for (struct nlmsghdr *at = (struct nlmsghdr *)buffer; NLMSG_OK(at, length); at = NLMSG_NEXT(at, length)) {
			if (at->nlmsg_type == NLMSG_DONE)
				return 0;
			if (at->nlmsg_type == NLMSG_ERROR) {
				errno = -((struct nlmsgerr *)NLMSG_DATA(at))->error;
				return -1;
			}
			take(at, each, context);
		}
	}
}

int each_tcp_socket(int diag, uint32_t states, void (*each)(const struct tcp_socket *socket, void *context),
		    void *context)
{
	if (dump(diag, AF_INET, states, each, context) < 0)
		return -1;
	/* A kernel without IPv6 has no such sockets. */
	return dump(diag, AF_INET6, states, each, context) < 0 && errno != ENOENT ? -1 : 0;
}
