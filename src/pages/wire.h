/*
 * The page stream from `source` to `store`: records in the byte order of the machine (both ends are of one
 * architecture, or CRIU could not move the container). A record is its header, then `runs` entries of a table, then
 * `pages` pages of data. Its checksum covers all of it and is seeded with that of the record before: nothing can be
 * lost, repeated, reordered or changed unseen.
 */
#ifndef RANKSHIFT_PAGES_WIRE_H
#define RANKSHIFT_PAGES_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define WIRE_START 0x3153454741505352ULL /* "RSPAGES1": seed of the first record */
#define WIRE_RUNS 4096			 /* most entries of a table */
#define WIRE_PAGES 256			 /* most pages of data in one record */
#define WIRE_ZERO (1ULL << 63)		 /* in a run of WIRE_DATA: pages of zeros, without data */
#define WIRE_DESCRIPTOR 3

enum wire_kind {
	WIRE_HELLO = 1, /* table: one run, WIRE_START and the page size */
	WIRE_DATA,	/* table: which pages follow, in which order */
	WIRE_KEEP,	/* table: what the process has; anything else of it goes. pages = 0. In address order. */
	WIRE_KEEP_LAST, /* the same, and the last record of this list */
	WIRE_GONE,	/* the process has ended */
	WIRE_RESERVE,	/* table: what a process is going to have; the last record of these has no entry and process 0 */
	WIRE_COMING,	/* table: pages that follow when the container runs on the target (push.h). In address order. */
	WIRE_LEFT,	/* table as of WIRE_END: the target knows all pages, but has not got those that were announced */
	WIRE_END,	/* table: every process with the pages of data that were sent for it. The last record. */
};

struct wire_record {
	uint32_t kind, process, runs, pages;
	uint64_t checksum;
};

struct wire_run {
	uint64_t address; /* of WIRE_END: the process */
	uint64_t pages;
};

/* Checksum of a record after one with the checksum `seed`; the data lies in `count` pieces of whole pages. */
uint64_t wire_checksum(const struct wire_record *record, const struct wire_run *table, const struct iovec *data,
		       size_t count, uint64_t seed);

/* Back from the target, after WIRE_LEFT: a page that a process waits for, or WIRE_ALL_THERE. */
struct wire_request {
	uint64_t process, address;
};
#define WIRE_ALL_THERE UINT64_MAX /* as the process: nothing is needed any more */

struct stream;

/* From here on records go through that stream instead of WIRE_DESCRIPTOR. */
void wire_through(struct stream *stream);

/* Bytes that were written so far, as they went over the wire. */
uint64_t wire_bytes(void);

/* Waits for the next record, however long. */
void wait_for_record(void);

/* Reads exactly that much. 0, or -1 with errno; end of file is EPIPE. */
int read_whole(void *buffer, size_t length);

/* Writes all of it; changes the vector. 0, or -1 with errno. */
int write_whole(struct iovec *vector, size_t count);

#endif
