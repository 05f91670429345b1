/*
 * Loaded into `criu dump --lazy-pages` by LD_PRELOAD: leaves out of what CRIU asks the kernel (PAGEMAP_SCAN,
 * criu/pagemap-cache.c) the memory that we send ourselves. CRIU would only pin each of its pages for a page server whose
 * client never comes: 50 to 75 ms of the freeze per GiB. A restore with --lazy-pages needs no word of them in the image: it
 * registers every such mapping with userfaultfd, and our server has their pages.
 * All of it is left out, small mappings and stacks too: CRIU restores mappings side by side before it registers them, and with
 * transparent huge pages a page that it fills there would bring zeros for its neighbours, which nobody could replace. (That it
 * keeps the page of a stack pointer is meant so in is_stack of criu/mem.c, which compares the wrong bits.) Locked memory is
 * CRIU's, so a process with any keeps all.
 * CRIU then copies the list of all pages that it might have found, 16 bytes for each that the process could have, to its
 * parasite. Of that list, nearly all of which nobody has written, only what was written is copied.
 * The environment: RANKSHIFT_LEAVE_OUT, the container's cgroup, frozen. Where anything is not as expected nothing is left
 * out, which costs time and is right all the same. RANKSHIFT_LEAVE_OUT_SEEN: a file that is made, for the self-test, which
 * learns by it that CRIU was started with this library.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mappings.h"
#include "processes.h"
#include "uapi.h"

/* Copies from here on are looked at. */
#define LARGE_COPY_BYTES (1UL << 20)

static struct task {
	pid_t pid;
	bool looked; /* `at` is filled */
	struct range *at;
	size_t count, room;
} *tasks;
static size_t task_count;

static bool read_text(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return false;
	size_t got = fread(text, 1, size - 1, file);
	fclose(file);
	text[got] = '\0';
	return got > 0;
}

static void note_task(const struct process *process, void *context)
{
	(void)context;
	struct task *more = realloc(tasks, (task_count + 1) * sizeof *tasks);
	if (more == NULL)
		return;
	tasks = more;
	tasks[task_count++] = (struct task){ .pid = process->pid };
}

/* A shell that starts CRIU is let pass. */
static __attribute__((constructor)) void begin(void)
{
	const char *cgroup = getenv("RANKSHIFT_LEAVE_OUT");
	if (strncmp(program_invocation_short_name, "criu", 4) != 0)
		return;
	unsetenv("LD_PRELOAD");
	if (cgroup != NULL && each_process(cgroup, note_task, NULL) < 0)
		task_count = 0;
	unsetenv("RANKSHIFT_LEAVE_OUT");
	const char *seen = getenv("RANKSHIFT_LEAVE_OUT_SEEN");
	int made = seen == NULL ? -1 : open(seen, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (made >= 0)
		close(made);
	unsetenv("RANKSHIFT_LEAVE_OUT_SEEN");
}

/* Neighbours in one piece. Memory that cannot be noted is not left out. */
static void note_mapping(const struct mapping *mapping, void *context)
{
	struct task *task = context;
	if (!restored_lazily(mapping))
		return;
	if (task->count > 0 && task->at[task->count - 1].end == mapping->start) {
		task->at[task->count - 1].end = mapping->end;
		return;
	}
	if (task->count == task->room) {
		size_t room = task->room == 0 ? 64 : task->room * 2;
		struct range *more = realloc(task->at, room * sizeof *more);
		if (more == NULL)
			return;
		task->at = more;
		task->room = room;
	}
	task->at[task->count++] = (struct range){ mapping->start, mapping->end };
}

/* Locked mappings are in VmLck of proc_pid_status(5); which they are, in smaps only. */
static bool has_locked(pid_t pid)
{
	char path[64], text[8192];
	unsigned long locked;
	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	if (!read_text(path, text, sizeof text))
		return true;
	char *line = strstr(text, "\nVmLck:");
	return line == NULL || sscanf(line, "\nVmLck: %lu kB", &locked) != 1 || locked != 0;
}

/* What is left out of the process whose pagemap this is, NULL where nothing is. */
static struct task *task_of(int pagemap)
{
	char link[32], path[64];
	int pid, length = 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", pagemap);
	ssize_t got = readlink(link, path, sizeof path - 1);
	if (got <= 0)
		return NULL;
	path[got] = '\0';
	if (sscanf(path, "/proc/%d/pagemap%n", &pid, &length) != 1 || length != got)
		return NULL;
	for (size_t i = 0; i < task_count; i++) {
		struct task *task = &tasks[i];
		if (task->pid != pid)
			continue;
		if (!task->looked && (has_locked(pid) || each_mapping(pid, note_mapping, task) < 0))
			task->count = 0;
		task->looked = true;
		return task->count == 0 ? NULL : task;
	}
	return NULL;
}

/* Asks for what lies between the ranges that are left out. */
static int scan_between(int pagemap, struct pm_scan_arg *scan, const struct task *task)
{
	uint64_t at = scan->start, used = 0;
	size_t next = 0;
	while (at < scan->end && used < scan->vec_len) {
		while (next < task->count && task->at[next].end <= at)
			next++;
		const struct range *out = next < task->count && task->at[next].start < scan->end ? &task->at[next] : NULL;
		if (out != NULL && out->start <= at) {
			at = out->end < scan->end ? out->end : scan->end;
			continue;
		}
		struct pm_scan_arg part = *scan;
		part.start = at;
		part.end = out == NULL ? scan->end : out->start;
		part.vec = scan->vec + used * sizeof(struct page_region);
		part.vec_len = scan->vec_len - used;
		long got = syscall(SYS_ioctl, pagemap, PAGEMAP_SCAN, &part);
		if (got < 0)
			return -1;
		used += (uint64_t)got;
		at = part.walk_end;
		if (at < part.end)
			break;
	}
	scan->walk_end = at;
	return (int)used;
}

/*
 * Copies memory of which most was never written, so reads as zeros; false where that cannot be found out. What is there of
 * the place to copy to is zeroed first, and only what was written is copied.
 */
static bool copy_written(char *to, const char *from, size_t length)
{
	static struct page_region regions[64];
	static unsigned char there[1 << 16];
	const uintptr_t mask = PAGE_BYTES - 1, start = (uintptr_t)from, end = start + length;
	char *first = (char *)((uintptr_t)to & ~mask);
	size_t pages = (size_t)(to + length - first + mask) / PAGE_BYTES;
	if (pages > sizeof there || mincore(first, pages * PAGE_BYTES, there) < 0)
		return false;
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (pagemap < 0)
		return false;
	for (size_t i = 0; i < pages; i++) {
		char *low = first + i * PAGE_BYTES, *high = low + PAGE_BYTES;
		if ((there[i] & 1) == 0)
			continue;
		low = low < to ? to : low;
		high = high > to + length ? to + length : high;
		memset(low, 0, (size_t)(high - low));
	}
	struct pm_scan_arg scan = {
		.size = sizeof scan,
		.start = start & ~mask,
		.end = (end + mask) & ~mask,
		.vec = (uintptr_t)regions,
		.vec_len = sizeof regions / sizeof *regions,
		.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.return_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
	};
	long got = 0;
	while (got >= 0 && scan.start < scan.end) {
		got = syscall(SYS_ioctl, pagemap, PAGEMAP_SCAN, &scan);
		for (long i = 0; i < got; i++) {
			uintptr_t low = regions[i].start < start ? start : regions[i].start;
			uintptr_t high = regions[i].end > end ? end : regions[i].end;
			memmove(to + (low - start), (const char *)low, high - low);
		}
		scan.start = scan.walk_end;
	}
	close(pagemap);
	return got >= 0;
}

__attribute__((visibility("default"))) void *memcpy(void *to, const void *from, size_t length)
{
	if (length >= LARGE_COPY_BYTES && task_count > 0 && copy_written(to, from, length))
		return to;
	return memmove(to, from, length);
}

__attribute__((visibility("default"))) int ioctl(int descriptor, unsigned long request, ...)
{
	va_list arguments;
	va_start(arguments, request);
	void *argument = va_arg(arguments, void *);
	va_end(arguments);
	struct pm_scan_arg *scan = argument;
	/* Its question for pages to be dumped, not that for guard regions. */
	if (request == PAGEMAP_SCAN && task_count > 0 && scan != NULL && scan->size == sizeof *scan && scan->flags == 0 &&
	    scan->max_pages == 0 && scan->category_anyof_mask == (PAGE_IS_PRESENT | PAGE_IS_SWAPPED)) {
		struct task *task = task_of(descriptor);
		if (task != NULL)
			return scan_between(descriptor, scan, task);
	}
	return (int)syscall(SYS_ioctl, descriptor, request, argument);
}
