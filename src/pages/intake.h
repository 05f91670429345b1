/* The receiving end of the page stream: takes records and does to the store what they say. */
#ifndef RANKSHIFT_PAGES_INTAKE_H
#define RANKSHIFT_PAGES_INTAKE_H

#include "store-file.h"
#include "wire.h"

struct intake {
	struct store_files *files;
	uint64_t chain; /* checksum of all so far; WIRE_START to begin with */
	uint64_t records, pages, bytes;
};

/* Takes the first record. Fails for good where it is none, as all of these. */
void greet(struct intake *stream);

/* Takes the next record. */
enum wire_kind take_record(struct intake *stream);

#endif
