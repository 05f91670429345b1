/* A connection between two nodes that carries bulk bytes: TLS 1.3 with a key that the agents agreed upon. */
#ifndef RANKSHIFT_STREAM_H
#define RANKSHIFT_STREAM_H

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdint.h>

enum {
	RECORD_BYTES = 16384, /* of TLS 1.3 (RFC 8446, 5.1) */
	FRAME_BYTES = 16 * RECORD_BYTES,
};

struct stream {
	SSL_CTX *context;
	SSL *ssl;
	int socket;
};

/* Reads the key, 64 hexadecimal digits and a newline, from standard input. Exits on anything else. */
void read_key(void);

/* TLS over a connected socket with the key of read_key. Exits where the other end has not got it. */
void stream_open(struct stream *stream, int socket, int server);

/* All or exit. */
void stream_write(struct stream *stream, const void *bytes, size_t length);
void stream_flush(struct stream *stream);
void stream_read(struct stream *stream, void *bytes, size_t length);

/* Limits of a socket that carries a stream: nothing is waited for longer than this without a sign of the other end. */
void set_socket_options(int socket);

/* Ends this process with the agent that started it. */
void end_with_parent(void);

/*
 * Waits for bytes, however long that is: there may be nothing to send for minutes. What is silent for another reason is
 * noticed by the agents' channel, whose end ends us: exits where standard input ends.
 */
void stream_wait(struct stream *stream);

/* Connects to a stream_accept and opens the stream with the key from standard input; says "ready" on standard output. */
void stream_connect(struct stream *stream, const char *address, const char *port);

/*
 * Listens at an address of this node on the first free port of LOW-HIGH, prints it, and opens the stream with the first
 * connection from the source, with the key from standard input. Exits where standard input ends before.
 */
void stream_accept(struct stream *stream, const char *address, const char *low, const char *high, const char *source);

#endif
