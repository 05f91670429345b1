/*
 * rankshift-bulk: carries CRIU's page images from one memory file system into another, or what one program writes to
 * another's input, over TLS 1.3 with a key of its own that the agents agreed upon over their channel. It exists because a GiB through Node's TLS costs six times the
 * processor time, inside the downtime window.
 */
#ifndef RANKSHIFT_BULK_H
#define RANKSHIFT_BULK_H

#include <openssl/ssl.h>
#include <stdint.h>

enum {
	RECORD_BYTES = 16384, /* of TLS 1.3 (RFC 8446, 5.1) */
	FRAME_BYTES = 16 * RECORD_BYTES,
	LARGEST_FILES = 1000000,
};

/* In front of each piece, little endian as CRIU's images are. */
struct frame {
	uint32_t file;	 /* N of pages-N.img, from 1 on without gaps; 0: no more, 8 bytes with the sum of all follow */
	uint32_t length; /* bytes that follow; 0: the file ends */
};

struct stream {
	SSL_CTX *context;
	SSL *ssl;
};

enum { PIECE_BYTES = FRAME_BYTES - sizeof(struct frame) };

/* Reads the key, 64 hexadecimal digits and a newline, from standard input. Exits on anything else. */
void read_key(void);

/* TLS over a connected socket with the key of read_key. Exits where the other end has not got it. */
void stream_open(struct stream *stream, int socket, int server);

/* All or exit. */
void stream_write(struct stream *stream, const void *bytes, size_t length);
void stream_flush(struct stream *stream);
void stream_read(struct stream *stream, void *bytes, size_t length);

/* What there is, at least one byte; 0 at the end that the other side declared. Exits on any other end. */
size_t stream_read_some(struct stream *stream, void *bytes, size_t most);

/* Declares the end. */
void stream_end(struct stream *stream);

/* Limits of a socket that carries a stream: nothing is waited for longer than this without a sign of the other end. */
void set_socket_options(int socket);

/*
 * Starts a program whose descriptor 3 is one end of a socket, and returns the other end. It has our standard input and
 * output, ends by itself at their end or that of the socket, and is never killed by us.
 */
int start_program(char **argv);

/* Waits for the program's end: its exit code, 1 where a signal ended it. */
int end_of_program(void);

/* Ends this process with the agent that started it. */
void end_with_parent(void);

int send_main(int argc, char **argv);
int receive_main(int argc, char **argv);

#endif
