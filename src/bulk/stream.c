#include "stream.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../init/arguments.h"
#include "sockets.h"

enum { GREETING = 0x31535352, LINK_MS = 10000, PACKED = 1u << 31 };

/* First bytes of each connection, from the end that connects; little endian as both ends are. */
struct greeting {
	uint32_t magic;
	uint8_t index, count, compression, unused;
};

/* In front of each frame. */
struct head {
	uint32_t stored; /* bytes that follow, and PACKED where they are */
	uint32_t length; /* what they were before */
};

/* What the end that connects was told. */
static struct {
	int compression;
	int64_t streams;
} wanted = { PACK_NONE, 1 };

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Byte by byte: the next line is for another reader. */
static void read_line(char *line, size_t room)
{
	for (size_t have = 0; have < room; have++) {
		if (read(0, line + have, 1) != 1)
			fail(2, "no key on standard input");
		if (line[have] == '\n') {
			line[have] = '\0';
			return;
		}
	}
	fail(2, "the key has not %d bytes", KEY_BYTES);
}

void read_key(void)
{
	char line[2 * KEY_BYTES + 32], *rest = line + 2 * KEY_BYTES;
	read_line(line, sizeof line);
	for (int i = 0; i < 2 * KEY_BYTES; i += 2) {
		int high = line[i] == '\0' ? -1 : digit(line[i]), low = high < 0 ? -1 : digit(line[i + 1]);
		if (high < 0 || low < 0)
			fail(2, "the key is not of %d hexadecimal digits", 2 * KEY_BYTES);
		tls_key[i / 2] = (unsigned char)(high * 16 + low);
	}
	if (*rest == '\0')
		return;
	char *streams = *rest == ' ' ? strchr(rest + 1, ' ') : NULL;
	if (streams == NULL)
		fail(2, "the key has not %d bytes", KEY_BYTES);
	*streams = '\0';
	wanted.compression = parse_compression(rest + 1);
	if (wanted.compression < 0 || parse_number(streams + 1, 1, MOST_STREAMS, &wanted.streams) != 0)
		fail(2, "not a compression and a number of streams from 1 to %d", MOST_STREAMS);
}

static unsigned char *buffer_of(size_t bytes)
{
	unsigned char *buffer = malloc(bytes);
	if (buffer == NULL)
		fail(1, "no memory for the stream");
	return buffer;
}

static void set_up(struct stream *stream, unsigned count, enum compression compression)
{
	stream->count = count;
	stream->packer.kind = compression;
	if (count == 1 && compression == PACK_NONE)
		return;
	stream->frame_bytes = count > 1 ? STRIPE_BYTES : FRAME_BYTES;
	stream->out = buffer_of(sizeof(struct head) + FRAME_BYTES);
	stream->packed = buffer_of(sizeof(struct head) + FRAME_BYTES);
	stream->in = buffer_of(FRAME_BYTES);
}

/* Each buffer begins with room for the header, so that both go in one piece. */
static void send_frame(struct stream *stream)
{
	const size_t length = stream->out_length;
	struct tls *link = &stream->links[stream->next_out];
	size_t stored = pack(&stream->packer, stream->out + sizeof(struct head), length, stream->packed + sizeof(struct head));
	unsigned char *frame = stored > 0 ? stream->packed : stream->out;
	struct head head = { .stored = (uint32_t)(stored > 0 ? stored | PACKED : length), .length = (uint32_t)length };
	if (stored == 0)
		stored = length;
	memcpy(frame, &head, sizeof head);
	tls_write(link, frame, sizeof head + stored);
	stream->wire_bytes += sizeof head + stored;
	stream->out_length = 0;
	if (stream->count == 1)
		return;
	tls_flush(link);
	stream->next_out = (stream->next_out + 1) % stream->count;
}

static void receive_frame(struct stream *stream)
{
	struct tls *link = &stream->links[stream->next_in];
	struct head head;
	tls_read(link, &head, sizeof head);
	uint32_t stored = head.stored & ~(uint32_t)PACKED;
	bool packed = head.stored != stored;
	if (head.length == 0 || head.length > FRAME_BYTES || stored > FRAME_BYTES || (!packed && stored != head.length))
		fail(1, "a frame that is too large");
	tls_read(link, packed ? stream->packed : stream->in, stored);
	if (packed && !unpack(&stream->packer, stream->packed, stored, stream->in, head.length))
		fail(1, "a frame that cannot be unpacked");
	stream->in_at = 0;
	stream->in_length = head.length;
	stream->next_in = (stream->next_in + 1) % stream->count;
}

void stream_write(struct stream *stream, const void *bytes, size_t length)
{
	if (stream->frame_bytes == 0) {
		tls_write(&stream->links[0], bytes, length);
		stream->wire_bytes += length;
		return;
	}
	while (length > 0) {
		size_t room = stream->frame_bytes - stream->out_length, part = length < room ? length : room;
		memcpy(stream->out + sizeof(struct head) + stream->out_length, bytes, part);
		stream->out_length += part;
		bytes = (const char *)bytes + part;
		length -= part;
		if (stream->out_length == stream->frame_bytes)
			send_frame(stream);
	}
}

void stream_flush(struct stream *stream)
{
	if (stream->out_length > 0)
		send_frame(stream);
	/* Several connections are flushed with each frame. */
	if (stream->count == 1)
		tls_flush(&stream->links[0]);
}

void stream_read(struct stream *stream, void *bytes, size_t length)
{
	if (stream->frame_bytes == 0) {
		tls_read(&stream->links[0], bytes, length);
		return;
	}
	while (length > 0) {
		if (stream->in_at == stream->in_length)
			receive_frame(stream);
		size_t there = stream->in_length - stream->in_at, part = length < there ? length : there;
		memcpy(bytes, stream->in + stream->in_at, part);
		stream->in_at += part;
		bytes = (char *)bytes + part;
		length -= part;
	}
}

bool stream_pending(const struct stream *stream)
{
	return stream->in_at < stream->in_length || tls_pending(&stream->links[stream->next_in]);
}

int stream_socket(const struct stream *stream)
{
	return stream->links[stream->next_in].socket;
}

int stream_out_socket(const struct stream *stream)
{
	return stream->links[stream->next_out].socket;
}

void end_with_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == 1)
		fail(1, "started by nobody");
	signal(SIGPIPE, SIG_IGN);
}

void stream_wait(struct stream *stream)
{
	while (!stream_pending(stream)) {
		struct pollfd wait[2] = {{.fd = stream_socket(stream), .events = POLLIN}, {.fd = 0, .events = POLLIN}};
		if (poll(wait, 2, -1) < 0)
			continue;
		if (wait[1].revents != 0)
			fail(1, "called off");
		return;
	}
}

void stream_alone(const struct stream *stream)
{
	for (unsigned i = 0; i < stream->count; i++)
		set_alone(stream->links[i].socket);
}

void stream_connect(struct stream *stream, const char *address, const char *port)
{
	read_key();
	signal(SIGPIPE, SIG_IGN);
	struct greeting greeting = { GREETING, 0, (uint8_t)wanted.streams, (uint8_t)wanted.compression, 0 };
	for (; greeting.index < greeting.count; greeting.index++) {
		struct tls *link = &stream->links[greeting.index];
		tls_open(link, connect_to(address, port), false, FRAME_BYTES);
		tls_write(link, &greeting, sizeof greeting);
		tls_flush(link);
	}
	set_up(stream, greeting.count, greeting.compression);
	if (write(1, "ready\n", 6) != 6)
		fail(1, "nobody listens");
}

void stream_accept(struct stream *stream, const char *address, const char *low, const char *high, const char *source)
{
	struct in_addr from = parse_address(source);
	struct greeting first = { .count = 1 };
	read_key();
	signal(SIGPIPE, SIG_IGN);
	int listener = listen_at(address, low, high);
	for (unsigned index = 0; index < first.count; index++) {
		struct tls *link = &stream->links[index];
		struct greeting greeting;
		int socket = accept_from(listener, from, index == 0 ? -1 : LINK_MS);
		set_socket_options(socket);
		tls_open(link, socket, true, FRAME_BYTES);
		tls_read(link, &greeting, sizeof greeting);
		if (index == 0)
			first = greeting;
		if (greeting.magic != GREETING || greeting.index != index || greeting.count != first.count ||
		    greeting.count == 0 || greeting.count > MOST_STREAMS || greeting.compression != first.compression ||
		    greeting.compression > PACK_ZSTD)
			fail(1, "not the greeting of a stream");
	}
	close(listener);
	set_up(stream, first.count, first.compression);
}
