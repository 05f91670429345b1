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
	fail(2, "usage: rankshift-node timens [--armed] [--cgroup DIR] [--monotonic-ns N] [--boottime-ns N] -- PROGRAM ARGS...\n"
		"       rankshift-node timens [--armed] --join PID -- PROGRAM ARGS...\n"
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

/* Started ahead of time: the work begins with a line on standard input, which is /dev/null from then on. */
static void await_line(char *line, size_t size)
{
	size_t length = 0;
	while (length < size - 1) {
		if (read(0, &line[length], 1) != 1)
			fail(1, "not needed");
		if (line[length] == '\n')
			break;
		length++;
	}
	line[length] = '\0';
	int null = open("/dev/null", O_RDONLY);
	if (null < 0 || dup2(null, 0) < 0)
		fail(1, "cannot open /dev/null: %s", strerror(errno));
	if (null > 0)
		close(null);
}

static void enter_cgroup(const char *directory)
{
	char file[4096];
	snprintf(file, sizeof file, "%s/cgroup.procs", directory);
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		fail(1, "cannot enter the cgroup %s: %s", directory, strerror(errno));
	close(fd);
}

static int64_t nanoseconds(const char *text)
{
	const int64_t most = INT64_MAX / 4;
	int64_t value;
	if (text == NULL || parse_number(text, -most, most, &value) < 0)
		fail(2, "not a number of nanoseconds: %s", text == NULL ? "" : text);
	return value;
}

static int64_t process_id(const char *text)
{
	int64_t value;
	if (parse_number(text, 1, INT32_MAX, &value) < 0)
		fail(2, "not a process id: %s", text);
	return value;
}

int timens(int argc, char **argv)
{
	int64_t monotonic_ns = 0, boottime_ns = 0;
	int armed = 0, given = 0, i = 1;
	const char *cgroup = NULL;
	char file[64] = "", line[64] = "";
	if (argc == 3 && strcmp(argv[1], "--show") == 0) {
		process_id(argv[2]);
		return show(argv[2]);
	}
	for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--armed") == 0) {
			armed = 1;
			continue;
		}
		if (i + 1 >= argc)
			usage();
		const char *name = argv[i++];
		if (strcmp(name, "--cgroup") == 0)
			cgroup = argv[i];
		else if (strcmp(name, "--join") == 0)
			snprintf(file, sizeof file, "/proc/%d/ns/time", (int)process_id(argv[i]));
		else if (strcmp(name, "--monotonic-ns") == 0)
			monotonic_ns = nanoseconds(argv[i]), given = 1;
		else if (strcmp(name, "--boottime-ns") == 0)
			boottime_ns = nanoseconds(argv[i]);
		else
			usage();
	}
	int joins = file[0] != '\0';
	if (i + 1 >= argc || (joins ? given : !given && !armed))
		usage();
	if (armed)
		await_line(line, sizeof line);
	if (armed && !joins) {
		monotonic_ns = nanoseconds(strtok(line, " "));
		boottime_ns = nanoseconds(strtok(NULL, " "));
	}
	if (cgroup != NULL)
		enter_cgroup(cgroup);
	if (joins)
		enter(file);
	else
		create(monotonic_ns, boottime_ns);
	execvp(argv[i + 1], &argv[i + 1]);
	fail(errno == ENOENT ? 127 : 126, "cannot run %s: %s", argv[i + 1], strerror(errno));
}
