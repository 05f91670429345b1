#include "push.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../bulk/stream.h"
#include "../init/arguments.h"
#include "pages.h"
#include "round.h"
#include "segments.h"
#include "send.h"

/* At a time: what a request has to wait for. */
#define PUSH_PAGES 64
/* Until the agent lets go, which it does when the container runs on its target: what is pushed before would keep the
 * link and the processors from the freeze. After so long it goes all the same. */
#define HOLD_MS 10000
/* With a page that is asked for go those behind it: who needs one needs the next. */
#define AROUND_PAGES 8

struct rest {
	struct tracked *tracked;
	struct segments pages; /* announced and not sent */
	int memory;
};

static struct rest *rest;
static size_t count, next;
static uint64_t requests;
static int64_t told;

static void totals_of(const struct container *container, struct wire_run *totals)
{
	if (container->count > WIRE_RUNS)
		fail(1, "more than %d processes", WIRE_RUNS);
	for (size_t i = 0; i < container->count; i++)
		totals[i] = (struct wire_run){ container->at[i].process.inside, container->at[i].data_pages };
}

uint64_t announce_rest(struct container *container, int64_t *scan_ns)
{
	static struct wire_run totals[WIRE_RUNS];
	static struct ranges coming;
	uint64_t pages = 0;
	count = container->count;
	rest = calloc(count + 1, sizeof *rest);
	if (rest == NULL)
		fail(1, "no memory for %zu processes", count);
	for (size_t i = 0; i < count; i++) {
		coming.count = 0;
		send_final(&container->at[i], &coming, scan_ns);
		rest[i] = (struct rest){ .tracked = &container->at[i], .memory = -1 };
		for (size_t j = 0; j < coming.count; j++) {
			append_segment(&rest[i].pages, coming.at[j].start, coming.at[j].end);
			pages += (coming.at[j].end - coming.at[j].start) / PAGE_BYTES;
		}
	}
	totals_of(container, totals);
	send_left(totals, (uint32_t)container->count);
	return pages;
}

/* Sends [start, end) of what was announced of a process. */
static void send_part(struct rest *of, uint64_t start, uint64_t end)
{
	const struct process *process = &of->tracked->process;
	if (of->memory < 0)
		of->memory = open_proc(process->pid, "mem", O_RDONLY);
	if (of->memory < 0)
		fail(1, "process %d cannot be read", (int)process->pid);
	begin_pages(process->pid, process->inside, of->memory, true, &of->tracked->data_pages);
	send_pages(start, end);
	end_pages();
	drop_segments(&of->pages, start, end);
}

/* A page that was sent already is on its way. False where the target has all. */
static bool answer_request(struct stream *stream)
{
	struct wire_request request;
	stream_read(stream, &request, sizeof request);
	if (request.process == WIRE_ALL_THERE)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (rest[i].tracked->process.inside != request.process)
			continue;
		const struct segment *segment = find_segment(&rest[i].pages, request.address);
		if (segment == NULL)
			return true;
		uint64_t end = request.address + AROUND_PAGES * PAGE_BYTES;
		requests++;
		send_part(&rest[i], request.address, end < segment->end ? end : segment->end);
	}
	return true;
}

/* The next pages in the order of processes and addresses; false where all were sent. */
static bool push_some(void)
{
	for (; next < count; next++) {
		struct segments *pages = &rest[next].pages;
		if (pages->first == pages->count) {
			if (rest[next].memory >= 0)
				close(rest[next].memory);
			rest[next].memory = -1;
			free_segments(pages);
			continue;
		}
		const struct segment *first = &pages->at[pages->first];
		uint64_t end = first->start + PUSH_PAGES * PAGE_BYTES;
		send_part(&rest[next], first->start, end < first->end ? end : first->end);
		return true;
	}
	return false;
}

static void hear_agent(bool *input)
{
	char text[64];
	ssize_t got = read(0, text, sizeof text - 1);
	if (got <= 0) {
		*input = false;
		return;
	}
	text[got] = '\0';
	if (strstr(text, "stop\n") != NULL)
		exit(0);
}

static void tell_rest(const char *event, int64_t since)
{
	printf("{\"event\":\"%s\",\"pages\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"ms\":%.3f}\n", event,
	       sent.pages, sent.bytes, requests, (double)(monotonic_ns() - since) / 1e6);
	fflush(stdout);
	told = monotonic_ms();
}

void push_rest(struct container *container, struct stream *stream, uint64_t bytes_per_second)
{
	static struct wire_run totals[WIRE_RUNS];
	bool input = true, held = true, ended = false;
	int64_t since = monotonic_ns(), hold_ends = monotonic_ms() + HOLD_MS;
	told = monotonic_ms();
	sent = (struct sent){ 0 };
	signal(SIGTERM, SIG_DFL);
	stream_alone(stream);
	for (;;) {
		int64_t ahead_ms = 0;
		if (held && (!input || monotonic_ms() >= hold_ends)) {
			held = false;
			since = monotonic_ns();
		}
		if (held)
			ahead_ms = hold_ends - monotonic_ms();
		else if (bytes_per_second > 0)
			ahead_ms = (int64_t)(sent.bytes * 1000 / bytes_per_second) - (monotonic_ns() - since) / 1000000;
		bool may_push = !ended && ahead_ms <= 0;
		struct pollfd wait[] = {
			{ .fd = stream_socket(stream), .events = POLLIN },
			{ .fd = input ? 0 : -1, .events = POLLIN },
			{ .fd = may_push ? stream_out_socket(stream) : -1, .events = POLLOUT },
		};
		int most_ms = stream_pending(stream) ? 0 : ended || may_push ? -1 : ahead_ms < 100 ? (int)ahead_ms : 100;
		if (poll(wait, 3, most_ms) < 0 && errno != EINTR)
			fail(1, "cannot wait: %s", strerror(errno));
		if (wait[1].revents != 0)
			hear_agent(&input);
		if (stream_pending(stream) || wait[0].revents != 0) {
			if (!answer_request(stream))
				break;
		} else if (may_push && wait[2].revents != 0 && !push_some()) {
			totals_of(container, totals);
			send_end(totals, (uint32_t)container->count);
			ended = true;
		}
		if (monotonic_ms() - told > 500)
			tell_rest("pushing", since);
	}
	tell_rest("pushed", since);
}
