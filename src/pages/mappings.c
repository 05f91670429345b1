#include "mappings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../init/arguments.h"

void add_range(struct ranges *ranges, uint64_t start, uint64_t end)
{
	if (ranges->count == ranges->room) {
		ranges->room = ranges->room == 0 ? 256 : ranges->room * 2;
		ranges->at = realloc(ranges->at, ranges->room * sizeof *ranges->at);
		if (ranges->at == NULL)
			fail(1, "no memory for a list of %zu mappings", ranges->room);
	}
	ranges->at[ranges->count++] = (struct range){ start, end };
}

int open_proc(pid_t pid, const char *name, int flags)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	return open(path, flags | O_CLOEXEC);
}

static bool parse_line(const char *text, struct mapping *line)
{
	unsigned long long start, end, offset;
	int name = 0;
	if (sscanf(text, "%llx-%llx %4s %llx %*x:%*x %llu %n", &start, &end, line->permissions, &offset, &line->inode,
		   &name) != 5)
		return false;
	line->start = start;
	line->end = end;
	line->offset = offset;
	line->name = text + name;
	return true;
}

bool restored_lazily(const struct mapping *line)
{
	if (line->permissions[3] != 'p' || line->inode != 0)
		return false;
	return line->name[0] == '\0' || strcmp(line->name, "[heap]") == 0 || strncmp(line->name, "[stack", 6) == 0 ||
	       strncmp(line->name, "[anon:", 6) == 0;
}

int each_mapping(pid_t pid, void (*found)(const struct mapping *line, void *context), void *context)
{
	static char text[65536];
	size_t filled = 0;
	ssize_t got;
	int fd = open_proc(pid, "maps", O_RDONLY);
	if (fd < 0)
		return -1;
	while ((got = read(fd, text + filled, sizeof text - 1 - filled)) > 0) {
		char *from = text, *newline;
		filled += (size_t)got;
		text[filled] = '\0';
		while ((newline = strchr(from, '\n')) != NULL) {
			struct mapping line;
			*newline = '\0';
			if (parse_line(from, &line))
				found(&line, context);
			from = newline + 1;
		}
		filled -= (size_t)(from - text);
		memmove(text, from, filled);
	}
	close(fd);
	return got < 0 ? -1 : 0;
}

struct reading {
	struct ranges *mappings, *reach;
	uint64_t before; /* end of the mapping before */
	bool open;	 /* the last reach has no end yet */
};

static void add_mapping(const struct mapping *line, void *context)
{
	struct reading *reading = context;
	if (reading->open)
		reading->reach->at[reading->reach->count - 1].end = line->start;
	reading->open = reading->reach != NULL && restored_lazily(line);
	if (restored_lazily(line))
		add_range(reading->mappings, line->start, line->end);
	if (reading->open)
		add_range(reading->reach, reading->before == 0 ? line->start : reading->before, line->end);
	reading->before = line->end;
}

int read_mappings(pid_t pid, struct ranges *out, struct ranges *reach)
{
	struct reading reading = { .mappings = out, .reach = reach };
	out->count = 0;
	if (reach != NULL)
		reach->count = 0;
	return each_mapping(pid, add_mapping, &reading);
}

static void note_vdso(const struct mapping *line, void *context)
{
	if (strcmp(line->name, "[vdso]") == 0)
		*(struct range *)context = (struct range){ line->start, line->end };
}

int find_vdso(pid_t pid, struct range *out)
{
	*out = (struct range){ 0, 0 };
	if (each_mapping(pid, note_vdso, out) < 0)
		return -1;
	if (out->end == 0) {
		errno = ENOEXEC;
		return -1;
	}
	return 0;
}
