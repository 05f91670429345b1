#include "round.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "../init/arguments.h"
#include "hash.h"
#include "send.h"

/* Pages that are protected before the first of them is read: 16 MiB. What is written until it is read goes twice. */
#define AT_ONCE 4096

static struct ranges mappings, reach;

struct reading {
	struct tracked *tracked;
	struct ranges *present;	 /* of the final round */
	struct ranges *coming;	 /* of a final round that only announces */
	bool all;		 /* whatever the kernel says was written */
	int64_t started, scan_ns; /* time in the kernel's scan alone */
};

static void send_region(const struct page_region *region, void *context)
{
	struct reading *reading = context;
	reading->scan_ns += monotonic_ns() - reading->started;
	if (reading->present != NULL && !(region->categories & PAGE_IS_PFNZERO))
		add_range(reading->present, region->start, region->end);
	if (reading->coming != NULL) {
		/* Pages of zeros are in no list of what the process has, and read as such. */
		if ((reading->all || (region->categories & PAGE_IS_WRITTEN)) && !(region->categories & PAGE_IS_PFNZERO))
			add_range(reading->coming, region->start, region->end);
	} else if (reading->all || (region->categories & PAGE_IS_WRITTEN)) {
		if (region->categories & PAGE_IS_PFNZERO)
			send_zeros(region->start, region->end);
		else
			send_pages(region->start, region->end);
	}
	reading->started = monotonic_ns();
}

static int scan_and_send(struct reading *reading, int pagemap, const struct range *mapping, enum scan what)
{
	reading->started = monotonic_ns();
	int result = scan(pagemap, mapping, what, what == SCAN_LOOK ? 0 : AT_ONCE, send_region, reading);
	reading->scan_ns += monotonic_ns() - reading->started;
	return result;
}

/* Tells the target which mappings there are, where that has changed. */
static void tell_mappings(struct tracked *tracked)
{
	uint64_t hash = hash64(mappings.at, mappings.count * sizeof *mappings.at, 1) | 1;
	if (tracked->kept == hash)
		return;
	tracked->kept = hash;
	send_keep(tracked->process.inside, &mappings);
}

/*
 * Registers mappings that are new or were put where another was; new[i] tells which, for all that they hold is sent. -1
 * where another program runs in the process, whose memory the descriptor does not know.
 */
static int register_new(struct reading *reading, int pagemap, bool *new)
{
	bool any = false;
	for (size_t i = 0; i < mappings.count; i++) {
		new[i] = !is_registered(pagemap, &mappings.at[i]);
		any = any || new[i];
	}
	return any ? protect(reading->tracked, &reach) : 0;
}

static int send_mappings(struct reading *reading, int pagemap)
{
	bool *new = calloc(mappings.count + 1, sizeof *new);
	if (new == NULL)
		fail(1, "no memory for a list of %zu mappings", mappings.count);
	int result = register_new(reading, pagemap, new);
	for (size_t i = 0; result >= 0 && i < mappings.count; i++) {
		reading->all = reading->tracked->whole || new[i];
		/* What was replaced a moment ago, or cannot be registered, is for the next round, or the last. */
		result = scan_and_send(reading, pagemap, &mappings.at[i], reading->all ? SCAN_PRESENT : SCAN_WRITTEN);
	}
	free(new);
	return result;
}

void send_round(struct tracked *tracked, struct armed *armed, int64_t *scan_ns)
{
	pid_t pid = tracked->process.pid;
	int pagemap = open_proc(pid, "pagemap", O_RDONLY), memory = open_proc(pid, "mem", O_RDONLY);
	struct reading reading = { .tracked = tracked };
	if (pagemap >= 0 && memory >= 0 && read_mappings(pid, &mappings, &reach) == 0) {
		tell_mappings(tracked);
		begin_pages(pid, tracked->process.inside, memory, false, &tracked->data_pages);
		bool same = send_mappings(&reading, pagemap) >= 0;
		end_pages();
		tracked->whole = !same;
		/* Armed afresh for the next round; a process that is ending cannot be, and will be gone by then. */
		if (!same) {
			disarm(tracked);
			arm_one(tracked, armed);
		}
	}
	*scan_ns += reading.scan_ns;
	if (pagemap >= 0)
		close(pagemap);
	if (memory >= 0)
		close(memory);
}

void send_final(struct tracked *tracked, struct ranges *coming, int64_t *scan_ns)
{
	static struct ranges present;
	pid_t pid = tracked->process.pid;
	int pagemap = open_proc(pid, "pagemap", O_RDONLY), memory = open_proc(pid, "mem", O_RDONLY);
	struct reading reading = { .tracked = tracked, .present = &present, .coming = coming };
	if (pagemap < 0 || memory < 0 || read_mappings(pid, &mappings, NULL) < 0)
		fail(1, "process %d cannot be read", (int)pid);
	present.count = 0;
	begin_pages(pid, tracked->process.inside, memory, true, &tracked->data_pages);
	for (size_t i = 0; i < mappings.count; i++) {
		reading.all = tracked->whole || tracked->userfaultfd < 0 || !is_registered(pagemap, &mappings.at[i]);
		if (scan_and_send(&reading, pagemap, &mappings.at[i], SCAN_LOOK) < 0)
			fail(1, "the pages of process %d cannot be listed", (int)pid);
	}
	end_pages();
	send_keep(tracked->process.inside, &present);
	if (coming != NULL)
		send_coming(tracked->process.inside, coming);
	tracked->kept = 1;
	*scan_ns += reading.scan_ns;
	close(pagemap);
	close(memory);
}

static void note_region(const struct page_region *region, void *context)
{
	if (!(region->categories & PAGE_IS_PFNZERO))
		add_range(context, region->start, region->end);
}

void reserve(struct tracked *tracked)
{
	static struct ranges present;
	int pagemap = open_proc(tracked->process.pid, "pagemap", O_RDONLY);
	present.count = 0;
	if (pagemap < 0)
		return;
	if (read_mappings(tracked->process.pid, &mappings, NULL) == 0)
		for (size_t i = 0; i < mappings.count; i++)
			scan(pagemap, &mappings.at[i], SCAN_LOOK, 0, note_region, &present);
	close(pagemap);
	if (present.count > 0)
		send_reserve(tracked->process.inside, &present);
	/* The target knows of the process: its end has to be told. */
	tracked->kept = 1;
}

static void count_region(const struct page_region *region, void *context)
{
	struct written *written = context;
	uint64_t pages = (region->end - region->start) / PAGE_BYTES;
	written->present_pages += pages;
	if (region->categories & PAGE_IS_WRITTEN)
		written->written_pages += pages;
}

static void scan_all(struct tracked *tracked, enum scan what, struct written *written)
{
	int pagemap = open_proc(tracked->process.pid, "pagemap", O_RDONLY);
	if (pagemap < 0)
		return;
	if (read_mappings(tracked->process.pid, &mappings, NULL) == 0)
		for (size_t i = 0; i < mappings.count; i++)
			scan(pagemap, &mappings.at[i], what, 0, count_region, written);
	close(pagemap);
}

void begin_sample(struct tracked *tracked)
{
	struct written ignored = { 0 };
	scan_all(tracked, SCAN_PRESENT, &ignored);
	tracked->whole = true;
}

void end_sample(struct tracked *tracked, struct written *written)
{
	scan_all(tracked, SCAN_LOOK, written);
}
