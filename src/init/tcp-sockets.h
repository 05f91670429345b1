/* A walk over the TCP sockets of the current network namespace by the kernel's INET_DIAG (sock_diag(7)). */
#ifndef RANKSHIFT_TCP_SOCKETS_H
#define RANKSHIFT_TCP_SOCKETS_H

#include <stdint.h>

#define TCP_BIT_ESTABLISHED (1U << 1)
/* Every state in which a socket may still have to send or be acknowledged: ESTABLISHED, FIN_WAIT1, FIN_WAIT2,
 * CLOSE_WAIT, LAST_ACK, CLOSING (numbers of include/net/tcp_states.h). */
#define TCP_BITS_SENDING (1U << 1 | 1U << 4 | 1U << 5 | 1U << 8 | 1U << 9 | 1U << 11)

struct tcp_socket {
	uint64_t cookie;
	uint32_t unacknowledged; /* bytes written and not acknowledged, sent or not */
	uint32_t data_segments_in;
	uint64_t bytes_acked;
};

/* Calls each for every socket in one of the states but those of loopback connections. -1 and errno on failure. */
int each_tcp_socket(int diag, uint32_t states, void (*each)(const struct tcp_socket *socket, void *context),
		    void *context);

/* Opens the netlink socket for each_tcp_socket in the current network namespace; fails with exit code 1. */
int open_tcp_diag(void);

#endif
