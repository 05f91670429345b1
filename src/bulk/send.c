#include "bulk.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../init/arguments.h"

enum { TELL_MS = 500 };

static const struct timespec interval = {.tv_nsec = 1000000};

/* How much has gone since when, and how much may go in a second; 0: no limit. */
static struct {
	uint64_t bytes, per_second;
	int64_t since_ms, told_ms;
} gone;

/* Whether the agent has said that nothing will be written any more. Exits where it went away without saying so. */
static int is_over(void)
{
	static int over;
	struct pollfd input = {.fd = 0, .events = POLLIN};
	char byte;
	if (over || poll(&input, 1, 0) == 0)
		return over;
	if (read(0, &byte, 1) != 1)
		fail(1, "called off");
	return over = 1;
}

static int open_image(int dir, uint32_t file)
{
	char name[32];
	snprintf(name, sizeof name, "pages-%u.img", file);
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno != ENOENT)
		fail(1, "cannot read %s: %s", name, strerror(errno));
	return fd;
}

/* Tells the agent how far it is, and sleeps off what went out faster than allowed. */
static void account(uint64_t bytes)
{
	int64_t now = monotonic_ms();
	if (gone.bytes == 0)
		gone.since_ms = gone.told_ms = now;
	gone.bytes += bytes;
	if (now - gone.told_ms >= TELL_MS) {
		gone.told_ms = now;
		printf("%llu\n", (unsigned long long)gone.bytes);
		fflush(stdout);
	}
	if (gone.per_second == 0)
		return;
	int64_t ahead_ms = (int64_t)(gone.bytes * 1000 / gone.per_second) - (now - gone.since_ms);
	if (ahead_ms > 0)
		nanosleep(&(struct timespec){.tv_sec = ahead_ms / 1000, .tv_nsec = ahead_ms % 1000 * 1000000}, NULL);
}

static void send_frame(struct stream *stream, char *buffer, struct frame head)
{
	memcpy(buffer, &head, sizeof head);
	stream_write(stream, buffer, sizeof head + head.length);
}

/* Sends one page image, which CRIU may still write; it is whole when the next one exists or all is over. */
static uint64_t send_image(struct stream *stream, char *buffer, int dir, int fd, uint32_t file)
{
	uint64_t sum = 0;
	for (;;) {
		/* Before the read: what is written after the answer is read the next time. */
		int whole = is_over();
		if (!whole) {
			int next = open_image(dir, file + 1);
			whole = next >= 0;
			if (whole)
				close(next);
		}
		ssize_t got = read(fd, buffer + sizeof(struct frame), PIECE_BYTES);
		if (got < 0)
			fail(1, "cannot read pages-%u.img: %s", file, strerror(errno));
		if (got > 0) {
			send_frame(stream, buffer, (struct frame){.file = file, .length = got});
			sum += got;
			account(got);
		} else if (whole) {
			send_frame(stream, buffer, (struct frame){.file = file});
			return sum;
		}
		if (got < PIECE_BYTES && !whole) {
			stream_flush(stream);
			nanosleep(&interval, NULL);
		}
	}
}

/*
 * send ADDRESS PORT DIR [BYTES_PER_SECOND]: sends pages-1.img, pages-2.img and so on of DIR while CRIU writes them.
 * Standard input: the key, and one byte when CRIU has ended; its end without that byte calls the sending off. Standard
 * output: "ready" when the other end is there, twice a second how many bytes have gone, then how many there were when it
 * has them all.
 */
int send_main(int argc, char **argv)
{
	static char buffer[FRAME_BYTES];
	static struct stream stream;
	int64_t per_second = 0;
	if ((argc != 4 && argc != 5) || (argc == 5 && parse_number(argv[4], 1, INT64_MAX / 1000, &per_second) < 0))
		fail(2, "usage: send ADDRESS PORT DIR [BYTES_PER_SECOND]");
	gone.per_second = (uint64_t)per_second;
	end_with_parent();
	int dir = open(argv[3], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		fail(2, "%s: %s", argv[3], strerror(errno));
	stream_connect(&stream, argv[1], argv[2]);
	uint64_t sum = 0;
	for (uint32_t file = 1;;) {
		int over = is_over();
		int fd = open_image(dir, file);
		if (fd >= 0) {
			sum += send_image(&stream, buffer, dir, fd, file++);
			close(fd);
		} else if (over) {
			/* CRIU numbers its page images without gaps: the one after the last never comes. */
			break;
		} else {
			nanosleep(&interval, NULL);
		}
	}
	memcpy(buffer + sizeof(struct frame), &sum, sizeof sum);
	send_frame(&stream, buffer, (struct frame){.length = sizeof sum});
	stream_flush(&stream);
	uint64_t taken;
	stream_read(&stream, &taken, sizeof taken);
	if (taken != sum)
		fail(1, "%llu bytes were sent, %llu came", (unsigned long long)sum, (unsigned long long)taken);
	printf("%llu\n", (unsigned long long)sum);
	return 0;
}
