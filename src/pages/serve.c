/*
 * The target's stand-in for `criu lazy-pages`: listens at lazy-pages.socket in CRIU's work directory, where a restore
 * with --lazy-pages connects, and fills the restored processes from the store (criu/uffd.c is the other end).
 * Lines on standard input: `populate` (begin to fill now; else when CRIU has finished), `free` (the container runs here
 * for good: free what is filled). Its end is no command: a container that runs must get its pages, whoever dies.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../init/arguments.h"
#include "guard.h"
#include "pages.h"
#include "restored.h"

#define RESTORE_FINISHED 0x52535446 /* LAZY_PAGES_RESTORE_FINISHED of criu/uffd.c */
#define PROCESSES 4096
/* How long CRIU is waited for when the agent has gone, ms: it outlives the agent, but may never have been started. */
#define CRIU_COMES_MS 30000

static struct {
	struct store_files files;
	struct restored *at[PROCESSES];
	size_t count, processes;
	int listener, criu; /* -1 when done with */
	bool input, finished, populating, freeing, told;
	int64_t since, left; /* when filling began, when the agent left */
	struct guarded *guarded;
} serving = { .listener = -1, .criu = -1, .input = true };

static void tell(const char *event)
{
	printf("{\"event\":\"%s\",\"processes\":%zu,\"pages\":%" PRIu64 ",\"faults\":%" PRIu64 ",\"ms\":%.3f}\n", event,
	       serving.processes, counted.pages, counted.faults,
	       serving.since == 0 ? 0 : (double)(monotonic_ns() - serving.since) / 1e6);
	fflush(stdout);
}

static int listen_at(const char *directory)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	/* The name of a socket has 107 bytes, that of a directory may have more. */
	if (chdir(directory) < 0)
		fail(1, "cannot enter %s: %s", directory, strerror(errno));
	snprintf(address.sun_path, sizeof address.sun_path, "lazy-pages.socket");
	unlink(address.sun_path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1) < 0)
		fail(1, "cannot listen in %s: %s", directory, strerror(errno));
	return fd;
}

static void add(struct restored *restored)
{
	if (serving.count == PROCESSES)
		fail(1, "more than %d processes", PROCESSES);
	serving.at[serving.count++] = restored;
	serving.processes++;
}

/* The descriptor that follows the number of a process, with one byte. */
static int take_descriptor(void)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte;
	struct iovec piece = { &byte, 1 };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof control };
	struct cmsghdr *header = NULL;
	int fd;
	if (recvmsg(serving.criu, &message, MSG_CMSG_CLOEXEC) == 1)
		header = CMSG_FIRSTHDR(&message);
	if (header == NULL || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof fd))
		fail(1, "CRIU sent no descriptor");
	memcpy(&fd, CMSG_DATA(header), sizeof fd);
	return fd;
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
		/* CRIU lets none of them run before it has said that it is finished. */
		serving.guarded->lacking = false;
		fail(1, "the restore ended before it was complete");
	}
	if (number == RESTORE_FINISHED) {
		serving.finished = true;
		serving.populating = true;
		return;
	}
	if (number < 0)
		return;
	struct store_file *file = find_file(&serving.files, (uint32_t)number);
	if (file == NULL)
		fail(1, "the memory of process %d is not in the store", number);
	serving.guarded->lacking = true;
	add(begin_restored(take_descriptor(), file));
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
	for (size_t i = 0; i < count; i++) {
		bool more = watched[i].revents != 0;
		while (more) {
			struct restored *child = take_event(serving.at[i], &more);
			if (child != NULL)
				add(child);
		}
		answer_faults(serving.at[i]);
	}
}

/* One chunk of the first process that lacks something; lets go of those that lack nothing. */
static void fill(void)
{
	for (size_t i = 0; i < serving.count; i++) {
		struct restored *restored = serving.at[i];
		if (!restored->over)
			fill_chunk(restored, serving.freeing);
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
	if (!serving.told)
		tell("populated");
	serving.told = true;
	return serving.freeing || !serving.input;
}

int serve(int argc, char **argv)
{
	static struct pollfd watched[3 + PROCESSES];
	if (argc != 4)
		fail(2, "usage: rankshift-pages serve DIR WORK_DIR CGROUP_DIR");
	serving.guarded = divide(argv[3]);
	char *directory = realpath(argv[1], NULL);
	if (directory == NULL)
		fail(1, "cannot find %s: %s", argv[1], strerror(errno));
	serving.files.directory = directory;
	open_files(&serving.files);
	serving.listener = listen_at(argv[2]);
	tell("listening");
	while (!is_over()) {
		bool busy = serving.populating && serving.count > 0;
		watched[0] = (struct pollfd){ .fd = serving.input ? 0 : -1, .events = POLLIN };
		watched[1] = (struct pollfd){ .fd = serving.listener, .events = POLLIN };
		watched[2] = (struct pollfd){ .fd = serving.criu, .events = POLLIN };
		for (size_t i = 0; i < serving.count; i++) {
			watched[3 + i] = (struct pollfd){ .fd = serving.at[i]->userfaultfd, .events = POLLIN };
			busy = busy || serving.at[i]->fault_count > 0;
		}
		size_t count = serving.count;
		if (poll(watched, 3 + count, busy ? 0 : serving.input ? -1 : 1000) < 0 && errno != EINTR)
			fail(1, "cannot wait: %s", strerror(errno));
		if (!serving.input && serving.listener >= 0 && monotonic_ms() - serving.left > CRIU_COMES_MS)
			fail(1, "CRIU never came");
		hear_processes(watched + 3);
		if (watched[0].revents != 0)
			hear_agent();
		if (watched[2].revents != 0)
			hear_criu();
		if (watched[1].revents != 0) {
			serving.criu = accept4(serving.listener, NULL, NULL, SOCK_CLOEXEC);
			close(serving.listener);
			serving.listener = -1;
			if (serving.criu < 0)
				fail(1, "cannot accept CRIU: %s", strerror(errno));
		}
		if (serving.populating) {
			if (serving.since == 0)
				serving.since = monotonic_ns();
			fill();
		}
	}
	while (serving.freeing && serving.files.count > 0)
		remove_file(&serving.files, serving.files.at[0]);
	free(directory);
	return 0;
}
