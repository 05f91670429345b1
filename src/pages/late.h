/* Pages that come while the container runs here already (push.h is the other end). */
#ifndef RANKSHIFT_PAGES_LATE_H
#define RANKSHIFT_PAGES_LATE_H

#include <stdbool.h>
#include <stdint.h>

#include "intake.h"

struct stream;

/* Pages come through this stream from here on. */
void begin_late(struct intake *intake, struct stream *stream);

/* The socket to poll, and whether bytes wait of which no poll tells. */
int late_descriptor(void);
bool late_pending(void);

/* Takes a record. False where it was the last one, and the source knows. Fails for good where the stream broke. */
bool take_late(void);

/* Tells the source that nothing more is needed. */
void end_late(void);

/* Asks for the page at an address of the store out of turn. */
void request_page(uint32_t process, uint64_t address);

/* Says in the store that it is whole: a restore that is tried again needs nothing else. */
void mark_whole(const struct store_files *files);

#endif
