/* How two nodes connect for a stream. */
#ifndef RANKSHIFT_SOCKETS_H
#define RANKSHIFT_SOCKETS_H

#include <netinet/in.h>

/* Limits of a socket that carries a stream: nothing is waited for longer than this without a sign of the other end. */
void set_socket_options(int socket);

/* Besides, for a connection that is silent for a long time and of which nobody else knows; see stream_alone. */
void set_alone(int socket);

/* Exits where the address does not answer. */
int connect_to(const char *address, const char *port);

struct in_addr parse_address(const char *text);

/* Listens on the first free port of LOW-HIGH; prints it. */
int listen_at(const char *address, const char *low, const char *high);

/* The next connection from the source. Exits where standard input ends, or so many ms have gone by (-1: any time). */
int accept_from(int listener, struct in_addr source, int most_ms);

#endif
