/* One round over a process. */
#ifndef RANKSHIFT_PAGES_ROUND_H
#define RANKSHIFT_PAGES_ROUND_H

#include <stdint.h>

#include "container.h"

/* Sends what a running, armed process wrote since the last round. Rearms it where it runs another program now. */
void send_round(struct tracked *tracked, struct armed *armed, int64_t *scan_ns);

/*
 * Sends what is missing of a frozen process, and what it has. All of it where it was never armed. With `coming`, a list
 * to fill, the missing pages are only announced.
 */
void send_final(struct tracked *tracked, struct ranges *coming, int64_t *scan_ns);

/* Tells the target for which pages of a running process it will need room. */
void reserve(struct tracked *tracked);

struct written {
	uint64_t present_pages, written_pages;
};

/* Protects all pages; they count as unsent again. */
void begin_sample(struct tracked *tracked);

/* Counts pages, and those written since begin_sample. */
void end_sample(struct tracked *tracked, struct written *written);

#endif
