/*
 * The end of a post-copy: the container is frozen here for good or until it is called off, and the target gets the pages
 * that were announced, those first for which a process waits there.
 */
#ifndef RANKSHIFT_PAGES_PUSH_H
#define RANKSHIFT_PAGES_PUSH_H

#include "container.h"

struct stream;

/* Sends all of a frozen container but pages of data, which are announced. Returns their number. */
uint64_t announce_rest(struct container *container, int64_t *scan_ns);

/*
 * Sends what was announced, not faster than so many bytes per second (0: no limit) but for what is asked for, and ends
 * when the target has all. The end of standard input means nothing here: who has taken the container needs its pages,
 * whatever becomes of the agent. The line `stop`, or SIGTERM, ends it.
 */
void push_rest(struct container *container, struct stream *stream, uint64_t bytes_per_second);

#endif
