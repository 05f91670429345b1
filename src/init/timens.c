/* Time namespaces: time_namespaces(7). Offsets in /proc/PID/timens_offsets are relative to the first namespace. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "node.h"

#define SECOND 1000000000LL

struct offsets {
	int64_t monotonic_ns, boottime_ns;
};

static _Noreturn void usage(void)
{
	fail(2, "usage: rankshift-node timens --monotonic-ns N [--boottime-ns N] -- PROGRAM ARGS...\n"
		"       rankshift-node timens --join PID -- PROGRAM ARGS...\n"
		"       rankshift-node timens --show PID");
}

static struct offsets read_offsets(const char *pid)
{
	char file[64];
	long long monotonic_s, monotonic_ns, boottime_s, boottime_ns;
	snprintf(file, sizeof file, "/proc/%s/timens_offsets", pid);
	FILE *offsets = fopen(file, "re");
	if (offsets == NULL)
		fail(1, "cannot read %s: %s", file, strerror(errno));
	if (fscanf(offsets, "monotonic %lld %lld boottime %lld %lld", &monotonic_s, &monotonic_ns, &boottime_s,
		   &boottime_ns) != 4)
		fail(1, "%s is not in the known form", file);
	fclose(offsets);
	return (struct offsets){ monotonic_s * SECOND + monotonic_ns, boottime_s * SECOND + boottime_ns };
}

/* A setns into a time namespace moves the caller itself; after an unshare only its children would be in it. */
static void enter(const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail(1, "cannot open %s: %s", file, strerror(errno));
	if (setns(fd, CLONE_NEWTIME) < 0)
		fail(1, "cannot enter the time namespace %s: %s", file, strerror(errno));
	close(fd);
}

/* Whole seconds rounded down and 0 <= ns < 1 s, as the kernel wants them. */
static void print_offset(FILE *to, const char *clock, int64_t ns)
{
	int64_t seconds = ns / SECOND - (ns % SECOND < 0);
	fprintf(to, "%s %lld %lld\n", clock, (long long)seconds, (long long)(ns - seconds * SECOND));
}

/* Offsets can be set only as long as no process is in the namespace. */
static void create(int64_t monotonic_ns, int64_t boottime_ns)
{
	struct offsets mine = read_offsets("self");
	if (unshare(CLONE_NEWTIME) < 0)
		fail(1, "cannot make a time namespace: %s", strerror(errno));
	FILE *offsets = fopen("/proc/self/timens_offsets", "we");
	if (offsets == NULL)
		fail(1, "cannot open /proc/self/timens_offsets: %s", strerror(errno));
	print_offset(offsets, "monotonic", mine.monotonic_ns + monotonic_ns);
	print_offset(offsets, "boottime", mine.boottime_ns + boottime_ns);
	if (fclose(offsets) != 0)
		fail(1, "the kernel refuses the offsets: %s", strerror(errno));
	enter("/proc/self/ns/time_for_children");
}

static int show(const char *pid)
{
	struct offsets mine = read_offsets("self"), theirs = read_offsets(pid);
	printf("{\"monotonicNs\":\"%lld\",\"boottimeNs\":\"%lld\"}\n",
	       (long long)(theirs.monotonic_ns - mine.monotonic_ns), (long long)(theirs.boottime_ns - mine.boottime_ns));
	return 0;
}

int timens(int argc, char **argv)
{
	const int64_t most = INT64_MAX / 4;
	int64_t monotonic_ns = 0, boottime_ns = 0, pid;
	int given = 0, i = 1;
	char file[64];
	if (argc >= 3 && (strcmp(argv[1], "--show") == 0 || strcmp(argv[1], "--join") == 0)) {
		if (parse_number(argv[2], 1, INT32_MAX, &pid) < 0)
			fail(2, "not a process id: %s", argv[2]);
		if (strcmp(argv[1], "--show") == 0) {
			if (argc != 3)
				usage();
			return show(argv[2]);
		}
		snprintf(file, sizeof file, "/proc/%s/ns/time", argv[2]);
		given = 1;
		i = 3;
	} else {
		file[0] = '\0';
		for (; i + 1 < argc && strcmp(argv[i], "--") != 0; i += 2) {
			int64_t *value = NULL;
			if (strcmp(argv[i], "--monotonic-ns") == 0) {
				value = &monotonic_ns;
				given = 1;
			} else if (strcmp(argv[i], "--boottime-ns") == 0) {
				value = &boottime_ns;
			} else {
				usage();
			}
			if (parse_number(argv[i + 1], -most, most, value) < 0)
				fail(2, "not a number of nanoseconds: %s", argv[i + 1]);
		}
	}
	if (!given || i + 1 >= argc || strcmp(argv[i], "--") != 0)
		usage();
	if (file[0] != '\0')
		enter(file);
	else
		create(monotonic_ns, boottime_ns);
	execvp(argv[i + 1], &argv[i + 1]);
	fail(errno == ENOENT ? 127 : 126, "cannot run %s: %s", argv[i + 1], strerror(errno));
}
