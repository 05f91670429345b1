/*
 * The target's stand-in for `criu lazy-pages`: fills the processes of a restore with --lazy-pages from the store and, in
 * a post-copy, with what still comes from the source.
 * Lines on standard input: `populate` (begin to fill now, and say when all is; else when CRIU has finished), `free` (the container runs here
 * for good: free what is filled). Its end is no command: a container that runs must get its pages, whoever dies.
 */
#include "serve.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../init/arguments.h"
#include "guard.h"
#include "late.h"
#include "pages.h"
#include "restore-socket.h"
#include "restored.h"

#define RESTORE_FINISHED 0x52535446 /* LAZY_PAGES_RESTORE_FINISHED of criu/uffd.c */
#define PROCESSES 4096
/* How long CRIU is waited for when the agent has gone, ms: it outlives the agent, but may never have been started. */
#define CRIU_COMES_MS 30000

/*
 * Who was just given a page often wants another at once, and may have to run on this processor for that: we sleep so long
 * before we fill in more. After so many in a row a chunk is filled in all the same; it is a small one as long as faults
 * were not far away, since the next one has to wait for its end.
 */
#define PAUSE_NS 100000
#define FAULTS_IN_A_ROW 16
#define NEAR_NS 5000000
#define SMALL_CHUNK_PAGES 8

static struct {
	struct store_files *files;
	struct restored *at[PROCESSES];
	size_t count, processes;
	int listener, criu; /* -1 when done with */
	bool late;    /* pages come yet */
	bool patient; /* it is a post-copy: a restore that broke off is waited for again */
	bool input, finished, populating, freeing, told, filled;
	int64_t since, left; /* when filling began, when the agent left */
	int64_t answered;    /* when a fault was answered last */
	unsigned in_a_row;   /* faults answered since the last chunk */
	struct guarded *guarded;
} serving = { .listener = -1, .criu = -1, .input = true };

static void tell(const char *event)
{
	printf("{\"event\":\"%s\",\"processes\":%zu,\"pages\":%" PRIu64 ",\"faults\":%" PRIu64 ",\"ms\":%.3f}\n", event,
	       serving.processes, counted.pages, counted.faults,
	       serving.since == 0 ? 0 : (double)(monotonic_ns() - serving.since) / 1e6);
	fflush(stdout);
}

static void add(struct restored *restored)
{
	if (serving.count == PROCESSES)
		fail(1, "more than %d processes", PROCESSES);
	serving.at[serving.count++] = restored;
	serving.processes++;
}

/* Back to where no restore has come. */
static void forget_restore(void)
{
	while (serving.count > 0)
		finish(serving.at[--serving.count]);
	if (serving.criu >= 0)
		close(serving.criu);
	serving.criu = -1;
	serving.finished = serving.populating = false;
	serving.processes = 0;
}

static void restore_broke(void)
{
	/* CRIU lets no process run before it has said that it is finished. */
	serving.guarded->lacking = false;
	if (!serving.patient)
		fail(1, "the restore ended before it was complete");
	forget_restore();
}

/* One message of CRIU's: a process with its userfaultfd, a zombie (negative), or the end of the restore. */
static void hear_criu(void)
{
	int32_t number;
	ssize_t got = recv(serving.criu, &number, sizeof number, MSG_WAITALL);
	if (got == 0 && serving.finished) {
		close(serving.criu);
		serving.criu = -1;
		return;
	}
	if (got != sizeof number) {
		restore_broke();
		return;
	}
	if (number == RESTORE_FINISHED) {
		serving.finished = true;
		serving.populating = true;
		return;
	}
	if (number < 0)
		return;
	struct store_file *file = find_file(serving.files, (uint32_t)number);
	if (file == NULL)
		fail(1, "the memory of process %d is not in the store", number);
	int userfaultfd = take_descriptor(serving.criu);
	if (userfaultfd < 0) {
		restore_broke();
		return;
	}
	serving.guarded->lacking = true;
	add(begin_restored(userfaultfd, file));
}

static void hear_agent(void)
{
	char text[256];
	static char line[256];
	static size_t length;
	ssize_t got = read(0, text, sizeof text);
	if (got <= 0) {
		serving.input = false;
		serving.left = monotonic_ms();
	}
	for (ssize_t i = 0; i < got; i++) {
		if (text[i] != '\n') {
			if (length < sizeof line - 1)
				line[length++] = text[i];
			continue;
		}
		line[length] = '\0';
		length = 0;
		if (strcmp(line, "populate") == 0) {
			serving.populating = true;
		} else if (strcmp(line, "free") == 0) {
			serving.freeing = true;
			for (size_t j = 0; j < serving.count; j++)
				free_filled(serving.at[j]);
		} else {
			fprintf(stderr, "%s: not a command: %s\n", program_name, line);
		}
	}
}

static void hear_processes(const struct pollfd *watched)
{
	size_t count = serving.count;
	uint64_t answered = counted.answered;
	for (size_t i = 0; i < count; i++) {
		bool more = watched[i].revents != 0;
		while (more) {
			struct restored *child = take_event(serving.at[i], &more);
			if (child != NULL)
				add(child);
		}
		answer_faults(serving.at[i], serving.freeing);
	}
	if (counted.answered == answered)
		return;
	serving.answered = monotonic_ns();
	serving.in_a_row += (unsigned)(counted.answered - answered);
}

/* How long to sleep for the next fault before more is filled in, ns; 0 where more is to be filled in now. */
static int64_t pause_ns(void)
{
	int64_t passed = monotonic_ns() - serving.answered;
	return passed < PAUSE_NS && serving.in_a_row < FAULTS_IN_A_ROW ? PAUSE_NS - passed : 0;
}

/* One chunk of the first process that lacks something; lets go of those that lack nothing. */
static void fill(void)
{
	size_t most = monotonic_ns() - serving.answered < NEAR_NS ? SMALL_CHUNK_PAGES : CHUNK_PAGES;
	serving.in_a_row = 0;
	for (size_t i = 0; i < serving.count; i++) {
		struct restored *restored = serving.at[i];
		if (!restored->over && !restored->waits)
			fill_chunk(restored, serving.freeing, most);
		if (restored->waits)
			continue;
		if (!restored->over)
			return;
		finish(restored);
		memmove(&serving.at[i], &serving.at[i + 1], (serving.count - i - 1) * sizeof(struct restored *));
		serving.count--;
		i--;
	}
}

static bool is_over(void)
{
	if (!serving.finished || serving.count > 0)
		return false;
	serving.guarded->lacking = false;
	/* All processes have what they need; the rest of the stream is for a restore that is tried again. */
	if (serving.late && !serving.freeing)
		return false;
	if (serving.late)
		end_late();
	serving.late = false;
	if (!serving.told)
		tell("populated");
	serving.told = true;
	return serving.freeing || !serving.input;
}

/* Takes what has come from the source. */
static void hear_source(void)
{
	serving.late = take_late();
	for (size_t i = 0; i < serving.count; i++)
		serving.at[i]->waits = false;
}

static void accept_restore(void)
{
	forget_restore();
	serving.criu = accept4(serving.listener, NULL, NULL, SOCK_CLOEXEC);
	if (serving.criu < 0)
		fail(1, "cannot accept CRIU: %s", strerror(errno));
	if (serving.patient)
		return;
	close(serving.listener);
	serving.listener = -1;
}

/* Whether there is something to do at once, without being told of anything. */
static bool is_busy(void)
{
	if (serving.late && late_pending())
		return true;
	for (size_t i = 0; i < serving.count; i++)
		if (serving.at[i]->try_again)
			return true;
	return false;
}

static bool has_to_fill(void)
{
	for (size_t i = 0; serving.populating && i < serving.count; i++)
		if (!serving.at[i]->waits)
			return true;
	return false;
}

/* Waits until one is ready, a little for the next fault where there is more to fill in, else for as long as it takes. */
static void wait_for(struct pollfd *watched, size_t count)
{
	int64_t ns = is_busy() ? 0 : has_to_fill() ? pause_ns() : serving.input ? -1 : 1000000000;
	struct timespec limit = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
	if (ppoll(watched, count, ns < 0 ? NULL : &limit, NULL) < 0 && errno != EINTR)
		fail(1, "cannot wait: %s", strerror(errno));
}

int serve_restore(struct store_files *files, bool late, const char *work_directory, struct guarded *guarded)
{
	static struct pollfd watched[4 + PROCESSES];
	serving.files = files;
	serving.late = serving.patient = late;
	serving.guarded = guarded;
	serving.listener = listen_for_restore(work_directory);
	prctl(PR_SET_TIMERSLACK, 1000UL);
	tell("listening");
	while (!is_over()) {
		watched[0] = (struct pollfd){ .fd = serving.input ? 0 : -1, .events = POLLIN };
		watched[1] = (struct pollfd){ .fd = serving.listener, .events = POLLIN };
		watched[2] = (struct pollfd){ .fd = serving.criu, .events = POLLIN };
		watched[3] = (struct pollfd){ .fd = serving.late ? late_descriptor() : -1, .events = POLLIN };
		for (size_t i = 0; i < serving.count; i++)
			watched[4 + i] = (struct pollfd){ .fd = serving.at[i]->userfaultfd, .events = POLLIN };
		size_t count = serving.count;
		wait_for(watched, 4 + count);
		if (!serving.input && serving.listener >= 0 && serving.criu < 0 && !serving.finished &&
		    monotonic_ms() - serving.left > CRIU_COMES_MS)
			fail(1, "CRIU never came");
		if (serving.late && (watched[3].revents != 0 || late_pending()))
			hear_source();
		hear_processes(watched + 4);
		if (watched[0].revents != 0)
			hear_agent();
		if (watched[2].revents != 0)
			hear_criu();
		if (watched[1].revents != 0)
			accept_restore();
		if (serving.populating && pause_ns() == 0) {
			if (serving.since == 0)
				serving.since = monotonic_ns();
			fill();
		}
		/* CRIU stands at its gate; whoever said `populate` wants to look at the memory. */
		if (serving.populating && !serving.finished && !serving.filled && serving.count == 0 && serving.processes > 0) {
			serving.filled = true;
			tell("filled");
		}
	}
	while (serving.freeing && serving.files->count > 0)
		remove_file(serving.files, serving.files->at[0]);
	return 0;
}

int serve(int argc, char **argv)
{
	static struct store_files files;
	if (argc != 4)
		fail(2, "usage: rankshift-pages serve DIR WORK_DIR CGROUP_DIR");
	struct guarded *guarded = divide(argv[3], argv[2]);
	files.directory = realpath(argv[1], NULL);
	if (files.directory == NULL)
		fail(1, "cannot find %s: %s", argv[1], strerror(errno));
	open_files(&files);
	return serve_restore(&files, false, argv[2], guarded);
}
