#include "bulk.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../init/arguments.h"

static const struct timespec interval = {.tv_nsec = 1000000};

static int connect_to(const char *address, const char *port)
{
	int64_t number;
	struct sockaddr_in to = {.sin_family = AF_INET};
	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		fail(2, "not an IPv4 address: %s", address);
	if (parse_number(port, 1, 65535, &number) != 0)
		fail(2, "not a port: %s", port);
	to.sin_port = htons(number);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	set_socket_options(fd);
	if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
		fail(1, "cannot connect to %s:%s: %s", address, port, strerror(errno));
	return fd;
}

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

/* Carries what a program writes, as soon as it does, up to its end. */
static int send_output(struct stream *stream, char *buffer, char **program)
{
	int from = start_program(program);
	for (;;) {
		ssize_t got = read(from, buffer, FRAME_BYTES);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		stream_write(stream, buffer, got);
		stream_flush(stream);
	}
	int code = end_of_program();
	/* Without it the other side knows that something is missing. */
	if (code == 0)
		stream_end(stream);
	return code;
}

/*
 * send ADDRESS PORT -- PROGRAM ARGS: carries what the program writes to descriptor 3. Standard input: the key, the rest is
 * the program's. Standard output: "ready", the rest is the program's. Exit code: the program's.
 * send ADDRESS PORT DIR: sends pages-1.img, pages-2.img and so on of DIR while CRIU writes them. Standard input: the
 * key, and one byte when CRIU has ended; its end without that byte calls the sending off. Standard output: "ready" when
 * the other end is there, then the number of bytes when it has them all.
 */
int send_main(int argc, char **argv)
{
	static char buffer[FRAME_BYTES];
	static struct stream stream;
	int carries = argc > 4 && strcmp(argv[3], "--") == 0;
	if (argc != 4 && !carries)
		fail(2, "usage: send ADDRESS PORT DIR | send ADDRESS PORT -- PROGRAM ARGS");
	end_with_parent();
	int dir = carries ? -1 : open(argv[3], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 && !carries)
		fail(2, "%s: %s", argv[3], strerror(errno));
	read_key();
	stream_open(&stream, connect_to(argv[1], argv[2]), 0);
	if (write(1, "ready\n", 6) != 6)
		fail(1, "nobody listens");
	if (carries)
		return send_output(&stream, buffer, argv + 4);
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
