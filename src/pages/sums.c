#include "sums.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../init/arguments.h"
#include "hash.h"
#include "send.h"
#include "track.h"

static char buffer[WIRE_PAGES * PAGE_BYTES] __attribute__((aligned(4096)));

int open_subject(struct subject *subject, pid_t pid, uint32_t inside)
{
	*subject = (struct subject){ .pid = pid, .inside = inside };
	subject->memory = open_proc(pid, "mem", O_RDONLY);
	subject->pagemap = open_proc(pid, "pagemap", O_RDONLY);
	if (subject->memory >= 0 && subject->pagemap >= 0)
		return 0;
	close_subject(subject);
	return -1;
}

void close_subject(struct subject *subject)
{
	if (subject->memory >= 0)
		close(subject->memory);
	if (subject->pagemap >= 0)
		close(subject->pagemap);
}

static void note_mapping(const struct mapping *mapping, void *context)
{
	struct layout *layout = context;
	if (layout->count == layout->room) {
		layout->room = layout->room == 0 ? 256 : layout->room * 2;
		layout->at = realloc(layout->at, layout->room * sizeof *layout->at);
	}
	char *name = strdup(mapping->name);
	if (layout->at == NULL || name == NULL)
		fail(1, "no memory for a list of %zu mappings", layout->room);
	layout->at[layout->count] = *mapping;
	layout->at[layout->count++].name = name;
}

int read_layout(pid_t pid, struct layout *out)
{
	while (out->count > 0)
		free((char *)(uintptr_t)out->at[--out->count].name);
	return each_mapping(pid, note_mapping, out);
}

bool is_of_the_kernel(const struct mapping *mapping)
{
	static const char *const names[] = { "[vdso]", "[vvar", "[vsyscall]", "[uprobes]", "/[aio]" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strncmp(mapping->name, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

int find_droppable(pid_t pid, struct ranges *out)
{
	char line[4096];
	unsigned long long start, end;
	struct range range = { 0 };
	int fd = open_proc(pid, "smaps", O_RDONLY);
	FILE *smaps = fd < 0 ? NULL : fdopen(fd, "r");
	out->count = 0;
	if (smaps == NULL)
		return -1;
	while (fgets(line, sizeof line, smaps) != NULL) {
		if (sscanf(line, "%llx-%llx ", &start, &end) == 2)
			range = (struct range){ start, end };
		else if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " dp") != NULL)
			add_range(out, range.start, range.end);
	}
	fclose(smaps);
	return 0;
}

static void add_sum(const struct subject *subject, uint64_t address, char *page, struct sums *sums)
{
	for (size_t i = 0; i < subject->mask_count; i++) {
		const struct mask *mask = &subject->masks[i];
		uint64_t from = mask->address > address ? mask->address : address;
		uint64_t to = mask->address + mask->length < address + PAGE_BYTES ? mask->address + mask->length :
										     address + PAGE_BYTES;
		if (mask->process == subject->inside && from < to)
			memset(page + (from - address), 0, to - from);
	}
	if (is_zero_page(page))
		return;
	if (sums->count == sums->room) {
		sums->room = sums->room == 0 ? 4096 : sums->room * 2;
		sums->at = realloc(sums->at, sums->room * sizeof *sums->at);
		if (sums->at == NULL)
			fail(1, "no memory for the checksums of %zu pages", sums->room);
	}
	sums->at[sums->count++] = (struct sum){ address, hash64(page, PAGE_BYTES, address) };
}

struct summing {
	const struct subject *subject;
	struct sums *sums;
};

static void sum_page(uint64_t address, char *page, void *context)
{
	const struct summing *summing = context;
	add_sum(summing->subject, address, page, summing->sums);
}

/* Through the process's own eyes. */
static void sum_seen(const struct page_region *region, void *context)
{
	const struct summing *summing = context;
	each_page(summing->subject->pid, summing->subject->memory, region, sum_page, context);
}

/* Read through the process, an untouched page of shared memory would come into being. */
static void sum_shared(const struct subject *subject, const struct mapping *mapping, uint64_t start, uint64_t end,
		       struct sums *sums)
{
	char name[64];
	snprintf(name, sizeof name, "map_files/%" PRIx64 "-%" PRIx64, mapping->start, mapping->end);
	int file = open_proc(subject->pid, name, O_RDONLY);
	if (file < 0)
		return;
	while (start < end) {
		size_t length = end - start < sizeof buffer ? end - start : sizeof buffer;
		ssize_t got = pread(file, buffer, length, (off_t)(mapping->offset + (start - mapping->start)));
		if (got <= 0)
			break;
		memset(buffer + got, 0, sizeof buffer - (size_t)got);
		for (size_t at = 0; at < (size_t)got; at += PAGE_BYTES)
			add_sum(subject, start + at, buffer + at, sums);
		start += length;
	}
	close(file);
}

void sum_mapping(const struct subject *subject, const struct mapping *mapping, uint64_t start, uint64_t end,
		 struct sums *sums)
{
	struct summing summing = { subject, sums };
	struct range range = { start, end };
	if (mapping->permissions[3] == 's') {
		sum_shared(subject, mapping, start, end, sums);
	} else if (mapping->inode != 0) {
		sum_seen(&(struct page_region){ .start = start, .end = end }, &summing);
	} else if (scan(subject->pagemap, &range, SCAN_LOOK, 0, sum_seen, &summing) < 0) {
		fail(1, "the pages of process %" PRIu32 " cannot be listed: %s", subject->inside, strerror(errno));
	}
}
