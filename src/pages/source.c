/* The source node's end: lines on standard input, answers on standard output, pages on descriptor 3. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../init/arguments.h"
#include "../bulk/stream.h"
#include "checksum.h"
#include "container.h"
#include "pace.h"
#include "pages.h"
#include "push.h"
#include "round.h"
#include "send.h"

static struct container container;
static struct stream connection;
static bool armed_before, greeted;
static unsigned round_number;

static void arm_all(void)
{
	struct armed armed = { 0 };
	list_processes(&container);
	arm_processes(&container, &armed);
	armed_before = true;
	printf("{\"processes\":%zu,\"unarmed\":%zu,\"mappings\":%zu,\"longestStopUs\":%" PRId64 "}\n", container.count,
	       unarmed_processes(&container), armed.mappings, armed.longest_stop_ns / 1000);
}

static void begin_round(void)
{
	begin_sending();
	if (!greeted)
		send_hello();
	greeted = true;
	list_processes(&container);
}

/* Answers a round; `more` are further members. */
static void end_round(int64_t since, int64_t scan_ns, const char *more)
{
	round_number++;
	printf("{\"round\":%u,\"processes\":%zu,\"unarmed\":%zu,\"pages\":%" PRIu64 ",\"zeroPages\":%" PRIu64
	       ",\"bytes\":%" PRIu64 ",\"wireBytes\":%" PRIu64 ",\"ms\":%.3f,\"scanMs\":%.3f%s}\n",
	       round_number, container.count, unarmed_processes(&container), sent.pages, sent.zero_pages, sent.bytes,
	       sent.wire_bytes,
	       (double)(monotonic_ns() - since) / 1e6, (double)scan_ns / 1e6, more);
}

static uint64_t parse_rate(const char *text, int64_t least)
{
	int64_t rate = 0;
	if (parse_number(text, least, INT64_MAX / 1000, &rate) < 0)
		fail(2, "not a number of bytes per second: %s", text);
	return (uint64_t)rate;
}

/* The limit that all moves of this node share: its rate, and the file by which they do. */
static void take_node_limit(char *argument)
{
	char *file = strchr(argument, ' ');
	if (file == NULL)
		fail(2, "node-limit wants a number of bytes per second and a file");
	*file++ = '\0';
	share_node_limit(file, parse_rate(argument, 1));
	printf("{}\n");
}

static void next_round(const char *argument)
{
	int64_t since = monotonic_ns(), scan_ns = 0;
	struct armed armed = { 0 };
	char more[64];
	set_pace(*argument == '\0' ? 0 : parse_rate(argument, 1), true);
	begin_round();
	arm_processes(&container, &armed);
	for (size_t i = 0; i < container.count; i++)
		if (container.at[i].userfaultfd >= 0)
			send_round(&container.at[i], &armed, &scan_ns);
	snprintf(more, sizeof more, ",\"longestStopUs\":%" PRId64, armed.longest_stop_ns / 1000);
	end_round(since, scan_ns, more);
}

/* While the ranks run: room for what the final round will bring, which costs the target as much time as the bytes. */
static void reserve_all(void)
{
	set_pace(0, false);
	begin_round();
	for (size_t i = 0; i < container.count; i++)
		reserve(&container.at[i]);
	send_reserve(0, &(struct ranges){ 0 });
	printf("{\"processes\":%zu}\n", container.count);
}

/* With an argument limits hold in the freeze too: the node's, and one of this move unless it is 0. */
static void final_round(const char *argument)
{
	int64_t since = monotonic_ns(), scan_ns = 0;
	static struct wire_run totals[WIRE_RUNS];
	char more[64];
	set_pace(*argument == '\0' ? 0 : parse_rate(argument, 0), *argument != '\0');
	begin_round();
	if (container.count > WIRE_RUNS)
		fail(1, "more than %d processes", WIRE_RUNS);
	for (size_t i = 0; i < container.count; i++) {
		send_final(&container.at[i], NULL, &scan_ns);
		totals[i] = (struct wire_run){ container.at[i].process.inside, container.at[i].data_pages };
	}
	send_end(totals, (uint32_t)container.count);
	snprintf(more, sizeof more, ",\"checksum\":\"%016" PRIx64 "\"", sent_checksum());
	end_round(since, scan_ns, more);
}

/* In place of the final round: what is missing follows when the container runs on the target. */
static void leave(const char *argument)
{
	int64_t since = monotonic_ns(), scan_ns = 0;
	uint64_t bytes_per_second = *argument == '\0' ? 0 : parse_rate(argument, 1);
	char more[64];
	if (connection.count == 0)
		fail(2, "pages are left behind on a stream of two directions only");
	set_pace(0, false);
	begin_round();
	uint64_t pages = announce_rest(&container, &scan_ns);
	snprintf(more, sizeof more, ",\"leftPages\":%" PRIu64, pages);
	end_round(since, scan_ns, more);
	fflush(stdout);
	push_rest(&container, &connection, bytes_per_second);
	exit(0);
}

static void sample(const char *argument)
{
	int64_t ms, since;
	struct written written = { 0 };
	if (parse_number(argument, 1, 3600000, &ms) < 0)
		fail(2, "sample wants a time in ms, not: %s", argument);
	for (size_t i = 0; i < container.count; i++)
		begin_sample(&container.at[i]);
	since = monotonic_ns();
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
	for (size_t i = 0; i < container.count; i++)
		end_sample(&container.at[i], &written);
	printf("{\"ms\":%.3f,\"writtenBytes\":%" PRIu64 ",\"presentBytes\":%" PRIu64 "}\n",
	       (double)(monotonic_ns() - since) / 1e6, written.written_pages * PAGE_BYTES,
	       written.present_pages * PAGE_BYTES);
}

static void obey(char *line)
{
	line[strcspn(line, "\n")] = '\0';
	char *argument = line + strcspn(line, " ");
	if (*argument != '\0')
		*argument++ = '\0';
	if (strcmp(line, "arm") == 0) {
		arm_all();
	} else if (strcmp(line, "round") == 0 && armed_before) {
		next_round(argument);
	} else if (strcmp(line, "sample") == 0 && armed_before && round_number == 0) {
		sample(argument);
	} else if (strcmp(line, "reserve") == 0 && round_number == 0) {
		reserve_all();
	} else if (strcmp(line, "final") == 0) {
		final_round(argument);
	} else if (strcmp(line, "node-limit") == 0) {
		take_node_limit(argument);
	} else if (strcmp(line, "leave") == 0) {
		leave(argument);
	} else if (strcmp(line, "checksum") == 0) {
		list_processes(&container);
		print_checksums(&container);
	} else if (strcmp(line, "disarm") == 0) {
		disarm_processes(&container);
		printf("{}\n");
		exit(0);
	} else {
		fail(2, "not a command, or not one at this time: %s", line);
	}
	fflush(stdout);
}

int source(int argc, char **argv)
{
	char line[4096];
	if (argc != 2 && argc != 4)
		fail(2, "usage: rankshift-pages source CGROUP_DIR [ADDRESS PORT]");
	container.cgroup = argv[1];
	signal(SIGPIPE, SIG_IGN);
	/* Whoever tells it to end must not hit it while it arms; it may end in push_rest only. */
	signal(SIGTERM, SIG_IGN);
	/* It is not killed with the agent: in the middle of arming that would harm a rank. Its input ends then. */
	if (argc == 4) {
		stream_connect(&connection, argv[2], argv[3]);
		wire_through(&connection);
	}
	while (fgets(line, sizeof line, stdin) != NULL)
		obey(line);
	return 0;
}
