#include "upper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../init/arguments.h"

enum { HEAD_BYTES = 5, OUT_BYTES = 1 << 20, IN_BYTES = 1 << 20, MOST_PAYLOAD = 64 << 20 };

void out_start(struct out *out)
{
	out->buffer = malloc(OUT_BYTES);
	if (out->buffer == NULL)
		fail(1, "no memory");
	out->used = out->bytes = 0;
}

static void write_all(const char *data, size_t length)
{
	while (length > 0) {
		ssize_t done = write(1, data, length);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			fail(1, "cannot send: %s", strerror(errno));
		data += done;
		length -= (size_t)done;
	}
}

void out_flush(struct out *out)
{
	write_all(out->buffer, out->used);
	out->bytes += out->used;
	out->used = 0;
}

static void put(struct out *out, const void *data, size_t length)
{
	if (out->used + length > OUT_BYTES)
		out_flush(out);
	if (length > OUT_BYTES) {
		write_all(data, length);
		out->bytes += length;
		return;
	}
	if (length > 0)
		memcpy(out->buffer + out->used, data, length);
	out->used += length;
}

void out_record(struct out *out, enum operation operation, const void *head, size_t head_bytes, const void *body,
		size_t body_bytes)
{
	char start[HEAD_BYTES] = { (char)operation };
	uint32_t length = (uint32_t)(head_bytes + body_bytes);
	memcpy(start + 1, &length, sizeof length);
	put(out, start, sizeof start);
	put(out, head, head_bytes);
	put(out, body, body_bytes);
}

static char in[IN_BYTES];
static size_t in_at, in_end;

static void take(char *to, size_t length)
{
	while (length > 0) {
		if (in_at == in_end) {
			ssize_t got = read(0, in, sizeof in);
			if (got < 0 && errno == EINTR)
				continue;
			if (got <= 0)
				fail(1, "the stream ended early");
			in_at = 0;
			in_end = (size_t)got;
		}
		size_t part = in_end - in_at < length ? in_end - in_at : length;
		memcpy(to, in + in_at, part);
		in_at += part;
		to += part;
		length -= part;
	}
}

struct record in_record(void)
{
	static char *payload;
	static size_t room;
	char head[HEAD_BYTES];
	struct record record;
	take(head, sizeof head);
	record.operation = (enum operation)head[0];
	memcpy(&record.length, head + 1, sizeof record.length);
	if (record.length > MOST_PAYLOAD)
		fail(1, "a record of %u bytes", record.length);
	if (payload == NULL || room < record.length) {
		room = record.length < 2 * PIECE_BYTES ? 2 * PIECE_BYTES : record.length;
		free(payload);
		payload = malloc(room + 1);
		if (payload == NULL)
			fail(1, "no memory");
	}
	take(payload, record.length);
	payload[record.length] = '\0';
	record.payload = payload;
	return record;
}
