#include "wire.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "../bulk/stream.h"
#include "hash.h"
#include "uapi.h"

uint64_t wire_checksum(const struct wire_record *record, const struct wire_run *table, const struct iovec *data,
		       size_t count, uint64_t seed)
{
	uint64_t hash = hash64(record, offsetof(struct wire_record, checksum), seed);
	hash = hash64(table, record->runs * sizeof *table, hash);
	/* Page by page, so that the pieces in which the data lies do not matter. */
	for (size_t i = 0; i < count; i++)
		for (size_t at = 0; at < data[i].iov_len; at += PAGE_BYTES)
			hash = hash64((const char *)data[i].iov_base + at, PAGE_BYTES, hash);
	return hash;
}

static struct stream *through;
static uint64_t written_bytes; /* to WIRE_DESCRIPTOR */

void wire_through(struct stream *stream)
{
	through = stream;
}

uint64_t wire_bytes(void)
{
	return through != NULL ? through->wire_bytes : written_bytes;
}

void wait_for_record(void)
{
	if (through != NULL)
		stream_wait(through);
}

int read_whole(void *buffer, size_t length)
{
	if (through != NULL) {
		stream_read(through, buffer, length);
		return 0;
	}
	for (size_t at = 0; at < length;) {
		ssize_t got = read(WIRE_DESCRIPTOR, (char *)buffer + at, length - at);
		if (got > 0) {
			at += (size_t)got;
		} else if (got == 0) {
			errno = EPIPE;
			return -1;
		} else if (errno != EINTR) {
			return -1;
		}
	}
	return 0;
}

int write_whole(struct iovec *vector, size_t count)
{
	if (through != NULL) {
		for (size_t i = 0; i < count; i++)
			if (vector[i].iov_len > 0)
				stream_write(through, vector[i].iov_base, vector[i].iov_len);
		stream_flush(through);
		return 0;
	}
	while (count > 0) {
		ssize_t written = writev(WIRE_DESCRIPTOR, vector, count > IOV_MAX ? IOV_MAX : (int)count);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -1;
		written_bytes += (uint64_t)written;
		while (count > 0 && (size_t)written >= vector->iov_len) {
			written -= (ssize_t)vector->iov_len;
			vector++;
			count--;
		}
		if (count > 0) {
			vector->iov_base = (char *)vector->iov_base + written;
			vector->iov_len -= (size_t)written;
		}
	}
	return 0;
}
