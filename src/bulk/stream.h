/*
 * What carries bulk bytes between two nodes: TLS 1.3 with a key that the agents agreed upon, over one connection or
 * several, compressed or not. The end that connects says how in its greeting; the other takes it as it comes.
 *
 * With one connection and no compression the bytes are those that were written. Else they go in frames, which take turns
 * on the connections, each with a header of its own; what does not get smaller goes as it is.
 */
#ifndef RANKSHIFT_STREAM_H
#define RANKSHIFT_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "pack.h"
#include "tls.h"

enum {
	FRAME_BYTES = 16 * RECORD_BYTES,
	STRIPE_BYTES = 4 * RECORD_BYTES, /* a frame where there are several connections: all of them shall be busy */
	MOST_STREAMS = 16,
};

struct stream {
	struct tls links[MOST_STREAMS];
	unsigned count;
	size_t frame_bytes; /* 0: no frames */
	struct packer packer;
	unsigned next_out, next_in;
	unsigned char *out, *in, *packed;
	size_t out_length, in_at, in_length;
	uint64_t wire_bytes; /* sent, without TLS's own */
};

/*
 * The key, 64 hexadecimal digits, and on the end that connects what is wanted besides: `KEY [COMPRESSION STREAMS]`, a line
 * of standard input. Exits on anything else.
 */
void read_key(void);

/* All or exit. */
void stream_write(struct stream *stream, const void *bytes, size_t length);
void stream_flush(struct stream *stream);
void stream_read(struct stream *stream, void *bytes, size_t length);

/* Whether something can be read of what has arrived. */
bool stream_pending(const struct stream *stream);

/* The socket on which the next bytes come, and that on which the next go. */
int stream_socket(const struct stream *stream);
int stream_out_socket(const struct stream *stream);

/* Ends this process with the agent that started it. */
void end_with_parent(void);

/*
 * Waits for bytes, however long that is: there may be nothing to send for minutes. What is silent for another reason is
 * noticed by the agents' channel, whose end ends us: exits where standard input ends.
 */
void stream_wait(struct stream *stream);

/*
 * For a stream that outlives its agents, whose channel then notices no death any more: the kernel asks the other end
 * when it is silent, and what is sent waits in this program rather than in the kernel, so that answers overtake it.
 */
void stream_alone(const struct stream *stream);

/* Connects to a stream_accept and opens the stream with the key from standard input; says "ready" on standard output. */
void stream_connect(struct stream *stream, const char *address, const char *port);

/*
 * Listens at an address of this node on the first free port of LOW-HIGH, prints it, and opens the stream with the first
 * connection from the source, with the key from standard input. Exits where standard input ends before.
 */
void stream_accept(struct stream *stream, const char *address, const char *low, const char *high, const char *source);

#endif
