#include "upper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../init/arguments.h"

/* A change within the kernel's tick (10 ms at most) may leave the times as they are. */
#define TICK_NS 100000000LL

static int64_t nanoseconds(struct timespec time)
{
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* Marks what may be written after it is read without a sign of it. */
static void mark_unsure(struct tree *tree, struct timespec since, const struct inodes *open)
{
	for (size_t i = 0; i < tree->count; i++) {
		struct entry *entry = &tree->entries[i];
		entry->unsure = nanoseconds(entry->changed) >= nanoseconds(since) - TICK_NS ||
				(S_ISREG(entry->mode) && inodes_get(open, entry->inode) != SIZE_MAX);
	}
}

static void make_pass(struct out *out, struct place *place, struct tree *before, const char *cgroup, int final)
{
	const int64_t start = monotonic_ns();
	const uint64_t sent = out->bytes;
	struct tree now;
	struct inodes open;
	struct timespec since;
	clock_gettime(CLOCK_REALTIME, &since);
	/* Before the files are looked at: what is opened later sets their times. */
	if (!final)
		find_open_files(&open, cgroup, place);
	place_forget(place);
	tree_scan(&now, place);
	if (!final) {
		mark_unsure(&now, since, &open);
		inodes_close(&open);
	}
	size_t changed = send_changes(out, place, before, &now, final);
	out_record(out, OP_PASS, NULL, 0, NULL, 0);
	if (final)
		out_record(out, OP_END, NULL, 0, NULL, 0);
	out_flush(out);
	dprintf(3, "{\"entries\":%zu,\"changed\":%zu,\"bytes\":%llu,\"ms\":%.3f}\n", now.count, changed,
		(unsigned long long)(out->bytes - sent), (double)(monotonic_ns() - start) / 1e6);
	tree_free(before);
	*before = now;
}

int source(int argc, char **argv)
{
	if (argc != 3)
		fail(2, "usage: rankshift-upper source DIRECTORY CGROUP_DIR");
	struct place place;
	struct out out;
	char line[64];
	place_open(&place, argv[1]);
	out_start(&out);
	/* The directory itself is there, and nothing in it. */
	struct tree before = { .entries = calloc(1, sizeof *before.entries), .count = 1, .room = 1 };
	if (before.entries == NULL || (before.entries[0].path = strdup("")) == NULL)
		fail(1, "no memory");
	before.entries[0].mode = S_IFDIR;
	while (fgets(line, sizeof line, stdin) != NULL) {
		const int final = strcmp(line, "final\n") == 0;
		if (!final && strcmp(line, "pass\n") != 0)
			fail(2, "unknown command");
		make_pass(&out, &place, &before, argv[2], final);
		if (final)
			return 0;
	}
	/* Called off. */
	return 0;
}
