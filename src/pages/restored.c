#include "restored.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../init/arguments.h"
#include "late.h"
#include "send.h"
#include "uapi.h"

struct counted counted;

static char buffer[CHUNK_PAGES * PAGE_BYTES] __attribute__((aligned(4096)));

struct restored *begin_restored(int userfaultfd, struct store_file *file)
{
	struct ranges kept = { 0 };
	struct restored *restored = calloc(1, sizeof *restored);
	if (restored == NULL)
		fail(1, "no memory for another process");
	kept_ranges(file, &kept);
	begin_segments(&restored->missing, &kept);
	free(kept.at);
	restored->userfaultfd = userfaultfd;
	restored->file = file;
	return restored;
}

static struct restored *forked(struct restored *parent, int userfaultfd)
{
	struct restored *child = calloc(1, sizeof *child);
	if (child == NULL)
		fail(1, "no memory for another process");
	copy_segments(&child->missing, &parent->missing);
	child->userfaultfd = userfaultfd;
	child->file = parent->file;
	child->shared = parent->shared = true;
	fcntl(userfaultfd, F_SETFD, FD_CLOEXEC);
	return child;
}

static void note_fault(struct restored *restored, uint64_t address)
{
	/* Threads that wait for the same page are woken together. */
	for (size_t i = 0; i < restored->fault_count; i++)
		if (restored->faults[i].address == address)
			return;
	if (restored->fault_count == FAULTS)
		fail(1, "more than %d threads wait for pages", FAULTS);
	restored->faults[restored->fault_count++] = (struct fault){ .address = address };
	counted.faults++;
}

struct restored *take_event(struct restored *restored, bool *more)
{
	struct uffd_msg message;
	ssize_t got = read(restored->userfaultfd, &message, sizeof message);
	*more = got == (ssize_t)sizeof message && restored->fault_count < FAULTS;
	if (got != (ssize_t)sizeof message)
		return NULL;
	switch (message.event) {
	case UFFD_EVENT_PAGEFAULT:
		note_fault(restored, message.arg.pagefault.address & ~(PAGE_BYTES - 1));
		return NULL;
	case UFFD_EVENT_REMOVE:
	case UFFD_EVENT_UNMAP:
		drop_segments(&restored->missing, message.arg.remove.start, message.arg.remove.end);
		return NULL;
	case UFFD_EVENT_REMAP:
		move_segments(&restored->missing, message.arg.remap.from, message.arg.remap.to, message.arg.remap.len);
		return NULL;
	case UFFD_EVENT_FORK:
		return forked(restored, (int)message.arg.fork.ufd);
	default:
		fail(1, "unexpected event %u of a userfaultfd", message.event);
	}
}

/*
 * Puts pages of the buffer, or zeros, into the process. Pages placed; 0 with errno: EEXIST where the first page is there
 * already, EAGAIN where an event must be read first, ENOENT where the range is not (or not within one) mapping of ours,
 * ESRCH where the process is gone.
 */
static size_t place(struct restored *restored, uint64_t address, size_t pages, bool zeros)
{
	struct uffdio_copy copy = { .dst = address, .src = (uintptr_t)buffer, .len = pages * PAGE_BYTES };
	struct uffdio_zeropage zeropage = { .range = { .start = address, .len = pages * PAGE_BYTES } };
	int result = zeros ? ioctl(restored->userfaultfd, UFFDIO_ZEROPAGE, &zeropage) :
			     ioctl(restored->userfaultfd, UFFDIO_COPY, &copy);
	int64_t done = zeros ? zeropage.zeropage : copy.copy;
	if (result == 0)
		return pages;
	if (done > 0)
		return (size_t)done / PAGE_BYTES;
	/* The kernel tells a process that is gone by either. */
	if (errno == ENOSPC)
		errno = ESRCH;
	if (errno != EEXIST && errno != EAGAIN && errno != ENOENT && errno != ESRCH && errno != EINVAL)
		fail(1, "cannot fill in pages: %s", strerror(errno));
	return 0;
}

#define REMEMBERED_PAGES 8

enum answer { ANSWERED, TRY_AGAIN, COMES };

static uint64_t come_to(const struct store_file *file, uint64_t stored, uint64_t limit);
static size_t read_chunk(struct store_file *file, uint64_t stored, size_t most);

/* The stream that a missed page goes on: twice as many pages come with it as the last time. A new one begins with one. */
static struct stream *stream_of(struct restored *restored, uint64_t address)
{
	for (size_t i = 0; i < STREAMS; i++) {
		struct stream *stream = &restored->streams[i];
		if (stream->next != address || stream->pages == 0)
			continue;
		stream->pages = stream->pages * 2 < CHUNK_PAGES ? stream->pages * 2 : CHUNK_PAGES;
		return stream;
	}
	struct stream *stream = &restored->streams[restored->stream++ % STREAMS];
	stream->pages = 1;
	return stream;
}

static enum answer answer_fault(struct restored *restored, struct fault *fault, bool freeing)
{
	uint64_t address = fault->address;
	const struct segment *segment = find_segment(&restored->missing, address);
	bool zeros = true;
	size_t pages = 1, placed;
	struct stream *stream = NULL;
	if (segment != NULL) {
		uint64_t stored = segment->stored + (address - segment->start);
		if (find_segment(&restored->file->coming, stored) != NULL) {
			if (!fault->requested)
				request_page(restored->file->process, stored);
			fault->requested = true;
			return COMES;
		}
		stream = stream_of(restored, address);
		uint64_t limit = stored + stream->pages * PAGE_BYTES, end = segment->stored + (segment->end - segment->start);
		pages = (come_to(restored->file, stored, limit < end ? limit : end) - stored) / PAGE_BYTES;
		pages = read_chunk(restored->file, stored, pages);
		zeros = is_zero_page(buffer);
		if (zeros)
			pages = 1;
	}
	placed = place(restored, address, pages, zeros);
	/* They may reach over the end of a mapping that was cut in the meantime. */
	if (placed == 0 && pages > 1 && (errno == ENOENT || errno == EINVAL))
		placed = place(restored, address, 1, zeros);
	if (placed > 0) {
		if (stream != NULL)
			stream->next = address + placed * PAGE_BYTES;
		/* What was filled in for one fault alone is found when it is met: a list of all such pages would grow too long. */
		if (placed >= REMEMBERED_PAGES) {
			uint64_t stored = segment->stored + (address - segment->start);
			drop_segments(&restored->missing, address, address + placed * PAGE_BYTES);
			if (freeing && !restored->shared)
				punch_file(restored->file, stored, stored + placed * PAGE_BYTES);
		}
		counted.pages += placed;
		return ANSWERED;
	}
	if (errno == EAGAIN)
		return TRY_AGAIN;
	if (errno == ESRCH)
		restored->over = true;
	/* Filled in the meantime, or unmapped: the thread looks for itself. */
	struct uffdio_range range = { .start = address, .len = PAGE_BYTES };
	ioctl(restored->userfaultfd, UFFDIO_WAKE, &range);
	return ANSWERED;
}

void answer_faults(struct restored *restored, bool freeing)
{
	size_t left = 0;
	restored->try_again = false;
	for (size_t i = 0; i < restored->fault_count; i++) {
		enum answer answer = answer_fault(restored, &restored->faults[i], freeing);
		if (answer == TRY_AGAIN)
			restored->try_again = true;
		if (answer == ANSWERED)
			counted.answered++;
		if (answer != ANSWERED)
			restored->faults[left++] = restored->faults[i];
	}
	restored->fault_count = left;
}

/* How much of [stored, limit) has come: up to where the first page that has not begins. */
static uint64_t come_to(const struct store_file *file, uint64_t stored, uint64_t limit)
{
	const struct segment *coming = next_segment(&file->coming, stored);
	if (coming == NULL || coming->start >= limit)
		return limit;
	return coming->start > stored ? coming->start : stored;
}

/*
 * Goes on to the next page with data, and how far its segment reaches; false where nothing is missing, or where what
 * follows has not come yet, which `waits` tells.
 */
static bool next_missing(struct restored *restored, size_t *pages)
{
	struct segments *missing = &restored->missing;
	while (missing->first < missing->count) {
		const struct segment *segment = &missing->at[missing->first];
		uint64_t start, limit = come_to(restored->file, segment->stored, segment->stored + (segment->end - segment->start));
		if (limit == segment->stored) {
			restored->waits = true;
			return false;
		}
		if (!next_data(restored->file, segment->stored, limit, &start)) {
			advance_segments(missing, limit - segment->stored);
			continue;
		}
		*pages = (limit - start) / PAGE_BYTES;
		advance_segments(missing, start - segment->stored);
		return true;
	}
	return false;
}

/* Reads stored pages up to the first of zeros; at least one. */
static size_t read_chunk(struct store_file *file, uint64_t stored, size_t most)
{
	size_t pages = 1, read = most < CHUNK_PAGES ? most : CHUNK_PAGES;
	read_file(file, stored, buffer, read * PAGE_BYTES);
	while (pages < read && !is_zero_page(buffer + pages * PAGE_BYTES))
		pages++;
	return pages;
}

void fill_chunk(struct restored *restored, bool freeing, size_t most)
{
	size_t pages, placed;
	if (!next_missing(restored, &pages)) {
		restored->over = !restored->waits;
		return;
	}
	const struct segment *segment = &restored->missing.at[restored->missing.first];
	uint64_t stored = segment->stored;
	pages = read_chunk(restored->file, stored, pages < most ? pages : most);
	placed = place(restored, segment->start, pages, false);
	counted.pages += placed;
	/* A chunk may reach over the end of a mapping that was cut in the meantime: page by page then. */
	if (placed == 0 && (errno == ENOENT || errno == EINVAL) && pages > 1) {
		placed = place(restored, segment->start, 1, false);
		counted.pages += placed;
	}
	if (placed == 0 && errno == EAGAIN)
		return;
	if (placed == 0 && errno == ESRCH) {
		restored->over = true;
		return;
	}
	if (placed == 0)
		placed = 1; /* there already, or nowhere */
	advance_segments(&restored->missing, placed * PAGE_BYTES);
	if (freeing && !restored->shared)
		punch_file(restored->file, stored, stored + placed * PAGE_BYTES);
}

void free_filled(struct restored *restored)
{
	const struct segments *missing = &restored->missing;
	uint64_t lowest = STORE_END;
	if (restored->shared)
		return;
	/* Filled in address order; moved memory is left for the end. */
	for (size_t i = missing->first; i < missing->count; i++)
		if (missing->at[i].stored < lowest)
			lowest = missing->at[i].stored;
	punch_file(restored->file, 0, lowest);
}

void finish(struct restored *restored)
{
	close(restored->userfaultfd);
	free_segments(&restored->missing);
	free(restored);
}
