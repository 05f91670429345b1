/* The sending end of the page stream: reads pages of a process in batches and writes them as records. */
#ifndef RANKSHIFT_PAGES_SEND_H
#define RANKSHIFT_PAGES_SEND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "mappings.h"
#include "wire.h"

/* What was sent since begin_sending. `bytes` before any compression, `wire_bytes` after. */
struct sent {
	uint64_t pages, zero_pages, bytes, wire_bytes;
};

extern struct sent sent;

/* Counts from now. */
void begin_sending(void);

/* Greets the target. */
void send_hello(void);

/*
 * Whose pages send_pages takes from here on. `memory` is /proc/PID/mem. With `all`, a page that cannot be read ends this
 * program; else it is left out: it was unmapped in the meantime, or the process has ended.
 * *data_pages counts the pages of data.
 */
void begin_pages(pid_t pid, uint32_t inside, int memory, bool all, uint64_t *data_pages);

/* Sends pages, soon. */
void send_pages(uint64_t start, uint64_t end);

/* Sends that a range holds zeros only. */
void send_zeros(uint64_t start, uint64_t end);

/* Sends what was gathered. To be called before anything else is done with another process. */
void end_pages(void);

/* Tells the target what a process has: anything else of it goes. */
void send_keep(uint32_t inside, const struct ranges *ranges);

void send_gone(uint32_t inside);

/* Tells the target for which pages it will need room. */
void send_reserve(uint32_t inside, const struct ranges *ranges);

/* Announces pages that follow later (push.h). */
void send_coming(uint32_t inside, const struct ranges *ranges);

/* All pages were sent or announced: every process with its pages of data so far. */
void send_left(const struct wire_run *processes, uint32_t count);

/* The end mark: every process with its pages of data. */
void send_end(const struct wire_run *processes, uint32_t count);

/* Checksum of all that was sent. */
uint64_t sent_checksum(void);

/* Reads pages that lie anywhere into one buffer; false in good[i] where page i cannot be read. */
void read_pages(pid_t pid, int memory, const uint64_t *address, size_t count, char *buffer, bool *good);

struct page_region;

/* Calls back for each page of a region that can be read, unless it was never written. The page is the callee's. */
void each_page(pid_t pid, int memory, const struct page_region *region,
	       void (*found)(uint64_t address, char *page, void *context), void *context);

bool is_zero_page(const char *page);

#endif
