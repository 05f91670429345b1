/*
 * Whether a restored container has the memory of the frozen one, page by page: `sum` on the source writes what every page
 * holds, `compare` on the target reads it while CRIU stands at its gate. Both cost downtime.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../init/arguments.h"
#include "pages.h"
#include "processes.h"
#include "sums.h"

#define MASKS 65536
/* Differences that are told one by one. */
#define TOLD 8

static const char magic[8] = "rs-sums1";

struct head {
	char magic[8];
	uint64_t masks, processes, pages;
};

/* One mapping of the source; its sums follow. */
struct block {
	uint64_t process, start, end, count;
};

static struct mask masks[MASKS];
static size_t mask_count;

/* ---- source ---- */

static FILE *out;
static uint64_t pages, processes;
static struct ranges droppable;

static void put(const void *data, size_t length)
{
	if (length > 0 && fwrite(data, length, 1, out) != 1)
		fail(3, "the checksums cannot be written: %s", strerror(errno));
}

static void put_mapping(const struct mapping *mapping, void *context)
{
	const struct subject *subject = context;
	static struct sums sums;
	sums.count = 0;
	if (is_of_the_kernel(mapping))
		return;
	for (size_t i = 0; i < droppable.count; i++)
		if (droppable.at[i].start == mapping->start)
			return;
	sum_mapping(subject, mapping, mapping->start, mapping->end, &sums);
	struct block block = { subject->inside, mapping->start, mapping->end, sums.count };
	put(&block, sizeof block);
	put(sums.at, sums.count * sizeof *sums.at);
	pages += sums.count;
}

static void put_process(const struct process *process, void *context)
{
	struct subject subject;
	(void)context;
	if (open_subject(&subject, process->pid, process->inside) < 0 || find_droppable(process->pid, &droppable) < 0)
		fail(1, "process %" PRIu32 " cannot be read", process->inside);
	subject.masks = masks;
	subject.mask_count = mask_count;
	if (each_mapping(process->pid, put_mapping, &subject) < 0)
		fail(1, "process %" PRIu32 " is gone", process->inside);
	close_subject(&subject);
	processes++;
}

int sum(int argc, char **argv)
{
	if (argc != 3)
		fail(2, "usage: rankshift-pages sum CGROUP_DIR FILE, with lines PROCESS ADDRESS LENGTH of what to leave out on standard input");
	while (mask_count < MASKS && scanf("%" SCNu64 " %" SCNu64 " %" SCNu64, &masks[mask_count].process,
					   &masks[mask_count].address, &masks[mask_count].length) == 3)
		mask_count++;
	out = fopen(argv[2], "we");
	if (out == NULL)
		fail(1, "cannot write %s: %s", argv[2], strerror(errno));
	struct head head = { .masks = mask_count };
	memcpy(head.magic, magic, sizeof magic);
	put(&head, sizeof head);
	put(masks, mask_count * sizeof *masks);
	if (each_process(argv[1], put_process, NULL) < 0)
		fail(1, "cannot read the processes of %s: %s", argv[1], strerror(errno));
	/* Written last: a file that was cut short has none. */
	head.processes = processes;
	head.pages = pages;
	if (fseek(out, 0, SEEK_SET) < 0)
		fail(1, "cannot write %s: %s", argv[2], strerror(errno));
	put(&head, sizeof head);
	if (fclose(out) != 0)
		fail(3, "the checksums cannot be written: %s", strerror(errno));
	printf("{\"processes\":%" PRIu64 ",\"pages\":%" PRIu64 "}\n", processes, pages);
	return 0;
}

/* ---- target ---- */

static uint64_t differing;

/* A mapping of the source that is being compared, in a process of the target. */
struct comparing {
	const struct subject *subject;
	const struct block *block;
	struct sums sums;
	uint64_t covered; /* up to here the target has mappings */
	char name[256];
};

static void tell_difference(const struct comparing *comparing, uint64_t address, const char *what)
{
	const char *name = comparing->name[0] == '\0' ? "anonymous memory" : comparing->name;
	if (differing++ < TOLD)
		printf("process %" PRIu64 ", %s, address 0x%" PRIx64 ": %s\n", comparing->block->process, name, address, what);
}

static void sum_overlap(const struct mapping *mapping, struct comparing *comparing)
{
	uint64_t start = mapping->start > comparing->block->start ? mapping->start : comparing->block->start;
	uint64_t end = mapping->end < comparing->block->end ? mapping->end : comparing->block->end;
	if (start >= end)
		return;
	if (start > comparing->covered)
		tell_difference(comparing, comparing->covered, "the target has no mapping there");
	comparing->covered = end;
	snprintf(comparing->name, sizeof comparing->name, "%s", mapping->name);
	sum_mapping(comparing->subject, mapping, start, end, &comparing->sums);
}

static void compare_sums(const struct comparing *comparing, const struct sum *wanted)
{
	const struct block *block = comparing->block;
	const struct sums *found = &comparing->sums;
	size_t i = 0, j = 0;
	while (i < block->count || j < found->count) {
		uint64_t source = i < block->count ? wanted[i].address : UINT64_MAX;
		uint64_t target = j < found->count ? found->at[j].address : UINT64_MAX;
		if (source < target)
			tell_difference(comparing, source, "zeros on the target");
		else if (target < source)
			tell_difference(comparing, target, "zeros on the source");
		else if (wanted[i].hash != found->at[j].hash)
			tell_difference(comparing, source, "another content");
		i += source <= target;
		j += target <= source;
	}
}

struct finding {
	uint64_t inside;
	pid_t pid;
};

static void note_process(const struct process *process, void *context)
{
	struct finding *finding = context;
	if (process->inside == finding->inside)
		finding->pid = process->pid;
}

static void get(FILE *in, void *data, size_t length)
{
	if (length > 0 && fread(data, length, 1, in) != 1)
		fail(1, "the checksums of the source are cut short");
}

int compare(int argc, char **argv)
{
	struct head head;
	struct block block;
	struct subject subject = { .memory = -1, .pagemap = -1 };
	static struct sums wanted;
	static struct comparing comparing;
	static struct layout layout;
	size_t next = 0;
	if (argc != 3)
		fail(2, "usage: rankshift-pages compare CGROUP_DIR FILE");
	FILE *in = fopen(argv[2], "re");
	if (in == NULL)
		fail(1, "cannot read %s: %s", argv[2], strerror(errno));
	get(in, &head, sizeof head);
	if (memcmp(head.magic, magic, sizeof magic) != 0 || head.processes == 0 || head.masks > MASKS)
		fail(1, "%s holds no checksums", argv[2]);
	mask_count = head.masks;
	get(in, masks, mask_count * sizeof *masks);
	while (fread(&block, sizeof block, 1, in) == 1) {
		if (block.count > wanted.room) {
			wanted.room = block.count;
			wanted.at = realloc(wanted.at, wanted.room * sizeof *wanted.at);
			if (wanted.at == NULL)
				fail(1, "no memory for the checksums of %zu pages", wanted.room);
		}
		get(in, wanted.at, block.count * sizeof *wanted.at);
		if (processes == 0 || subject.inside != block.process) {
			struct finding finding = { .inside = block.process };
			close_subject(&subject);
			if (each_process(argv[1], note_process, &finding) < 0 || finding.pid == 0 ||
			    open_subject(&subject, finding.pid, (uint32_t)block.process) < 0)
				fail(1, "the target has no process %" PRIu64, block.process);
			if (read_layout(finding.pid, &layout) < 0)
				fail(1, "process %" PRIu64 " is gone", block.process);
			next = 0;
			subject.masks = masks;
			subject.mask_count = mask_count;
			processes++;
		}
		comparing.subject = &subject;
		comparing.block = &block;
		comparing.sums.count = 0;
		comparing.name[0] = '\0';
		comparing.covered = block.start;
		/* Both lists are in address order; one mapping of the target may hold several of the source. */
		while (next < layout.count && layout.at[next].end <= block.start)
			next++;
		for (size_t i = next; i < layout.count && layout.at[i].start < block.end; i++)
			sum_overlap(&layout.at[i], &comparing);
		if (comparing.covered < block.end)
			tell_difference(&comparing, comparing.covered, "the target has no mapping there");
		compare_sums(&comparing, wanted.at);
		pages += block.count;
	}
	if (processes != head.processes || pages != head.pages)
		fail(1, "the source had %" PRIu64 " processes and %" PRIu64 " pages, the checksums of %" PRIu64 " and %" PRIu64 " came",
		     head.processes, head.pages, processes, pages);
	printf("{\"processes\":%" PRIu64 ",\"pages\":%" PRIu64 ",\"differing\":%" PRIu64 "}\n", processes, pages, differing);
	return 0;
}
