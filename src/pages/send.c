#include "send.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../init/arguments.h"
#include "pace.h"
#include "uapi.h"

struct sent sent;

static uint64_t chain = WIRE_START;
static int64_t told; /* when progress was told last */

/* The pages gathered for one record: zeros among them are found when they are read. */
static struct {
	pid_t pid;
	uint32_t inside;
	int memory;
	bool all;
	uint64_t *data_pages;
	size_t count;
	uint64_t address[WIRE_PAGES];
	bool good[WIRE_PAGES];
} batch;
static char buffer[WIRE_PAGES * PAGE_BYTES] __attribute__((aligned(4096)));
static struct wire_run table[WIRE_RUNS];

void begin_sending(void)
{
	sent = (struct sent){ 0 };
	told = monotonic_ms();
}

uint64_t sent_checksum(void)
{
	return chain;
}

/* Tells the agent how far a long round is. */
static void tell_progress(void)
{
	int64_t now = monotonic_ms();
	if (now - told < 500)
		return;
	told = now;
	printf("{\"sentBytes\":%llu,\"wireBytes\":%llu}\n", (unsigned long long)sent.bytes,
	       (unsigned long long)sent.wire_bytes);
	fflush(stdout);
}

static void send_record(struct wire_record record, const struct iovec *data, size_t count)
{
	struct iovec vector[2 + WIRE_PAGES];
	uint64_t before = wire_bytes();
	chain = wire_checksum(&record, table, data, count, chain);
	record.checksum = chain;
	vector[0] = (struct iovec){ &record, sizeof record };
	vector[1] = (struct iovec){ table, record.runs * sizeof *table };
	if (count > 0)
		memcpy(vector + 2, data, count * sizeof *data);
	if (write_whole(vector, 2 + count) < 0)
		fail(1, "the page stream broke: %s", strerror(errno));
	sent.bytes += sizeof record + record.runs * sizeof *table + record.pages * PAGE_BYTES;
	sent.wire_bytes += wire_bytes() - before;
	tell_progress();
	keep_pace(wire_bytes() - before);
}

void send_hello(void)
{
	table[0] = (struct wire_run){ WIRE_START, PAGE_BYTES };
	send_record((struct wire_record){ .kind = WIRE_HELLO, .runs = 1 }, NULL, 0);
}

void begin_pages(pid_t pid, uint32_t inside, int memory, bool all, uint64_t *data_pages)
{
	batch.pid = pid;
	batch.inside = inside;
	batch.memory = memory;
	batch.all = all;
	batch.data_pages = data_pages;
	batch.count = 0;
}

/* Appends a page to the last run of the table if it continues that, else as a run of its own. */
static uint32_t add_run(uint32_t runs, uint64_t address, uint64_t kind)
{
	struct wire_run *last = runs == 0 ? NULL : &table[runs - 1];
	if (last != NULL && (last->pages & WIRE_ZERO) == kind &&
	    last->address + (last->pages & ~WIRE_ZERO) * PAGE_BYTES == address) {
		last->pages++;
		return runs;
	}
	table[runs] = (struct wire_run){ address, kind | 1 };
	return runs + 1;
}

void end_pages(void)
{
	struct iovec data[WIRE_PAGES];
	struct wire_record record = { .kind = WIRE_DATA, .process = batch.inside };
	size_t pieces = 0;
	if (batch.count == 0)
		return;
	read_pages(batch.pid, batch.memory, batch.address, batch.count, buffer, batch.good);
	for (size_t i = 0; i < batch.count; i++) {
		char *page = buffer + i * PAGE_BYTES;
		if (!batch.good[i]) {
			if (batch.all)
				fail(1, "process %d: the page at 0x%llx cannot be read", (int)batch.pid,
				     (unsigned long long)batch.address[i]);
			continue;
		}
		if (is_zero_page(page)) {
			record.runs = add_run(record.runs, batch.address[i], WIRE_ZERO);
			sent.zero_pages++;
			continue;
		}
		record.runs = add_run(record.runs, batch.address[i], 0);
		record.pages++;
		if (pieces > 0 && (char *)data[pieces - 1].iov_base + data[pieces - 1].iov_len == page)
			data[pieces - 1].iov_len += PAGE_BYTES;
		else
			data[pieces++] = (struct iovec){ page, PAGE_BYTES };
	}
	batch.count = 0;
	if (record.runs == 0)
		return;
	sent.pages += record.pages;
	*batch.data_pages += record.pages;
	send_record(record, data, pieces);
}

void send_pages(uint64_t start, uint64_t end)
{
	for (uint64_t at = start; at < end; at += PAGE_BYTES) {
		batch.address[batch.count++] = at;
		if (batch.count == WIRE_PAGES)
			end_pages();
	}
}

void send_zeros(uint64_t start, uint64_t end)
{
	/* In the order in which they were found: the same page may be in the batch. */
	end_pages();
	table[0] = (struct wire_run){ start, (end - start) / PAGE_BYTES | WIRE_ZERO };
	sent.zero_pages += (end - start) / PAGE_BYTES;
	send_record((struct wire_record){ .kind = WIRE_DATA, .process = batch.inside, .runs = 1 }, NULL, 0);
}

void send_keep(uint32_t inside, const struct ranges *ranges)
{
	size_t at = 0;
	do {
		struct wire_record record = { .kind = WIRE_KEEP, .process = inside };
		for (; at < ranges->count && record.runs < WIRE_RUNS; at++) {
			const struct range *range = &ranges->at[at];
			table[record.runs++] = (struct wire_run){ range->start, (range->end - range->start) / PAGE_BYTES };
		}
		if (at == ranges->count)
			record.kind = WIRE_KEEP_LAST;
		send_record(record, NULL, 0);
	} while (at < ranges->count);
}

static void send_ranges(enum wire_kind kind, uint32_t inside, const struct ranges *ranges)
{
	size_t at = 0;
	do {
		struct wire_record record = { .kind = kind, .process = inside };
		for (; at < ranges->count && record.runs < WIRE_RUNS; at++) {
			const struct range *range = &ranges->at[at];
			table[record.runs++] = (struct wire_run){ range->start, (range->end - range->start) / PAGE_BYTES };
		}
		send_record(record, NULL, 0);
	} while (at < ranges->count);
}

void send_reserve(uint32_t inside, const struct ranges *ranges)
{
	send_ranges(WIRE_RESERVE, inside, ranges);
}

void send_coming(uint32_t inside, const struct ranges *ranges)
{
	send_ranges(WIRE_COMING, inside, ranges);
}

void send_gone(uint32_t inside)
{
	send_record((struct wire_record){ .kind = WIRE_GONE, .process = inside }, NULL, 0);
}

static void send_totals(enum wire_kind kind, const struct wire_run *processes, uint32_t count)
{
	if (count > WIRE_RUNS)
		fail(1, "more than %d processes", WIRE_RUNS);
	memcpy(table, processes, count * sizeof *table);
	send_record((struct wire_record){ .kind = kind, .runs = count }, NULL, 0);
}

void send_left(const struct wire_run *processes, uint32_t count)
{
	send_totals(WIRE_LEFT, processes, count);
}

void send_end(const struct wire_run *processes, uint32_t count)
{
	send_totals(WIRE_END, processes, count);
}
