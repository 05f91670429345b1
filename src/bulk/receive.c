#include "bulk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../init/arguments.h"

static void write_all(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t written = write(fd, bytes, length);
		if (written < 0)
			fail(errno == ENOSPC || errno == ENOMEM ? 3 : 1, "cannot write: %s", strerror(errno));
		bytes += written;
		length -= written;
	}
}

/*
 * receive ADDRESS LOW-PORT HIGH-PORT SOURCE DIR: takes what `send` sends from SOURCE into DIR, where none of it may
 * exist. Standard input: the key; its end calls it off. Standard output: the port, then the number of bytes when all are
 * there. Exit code 3 where DIR is full.
 */
int receive_main(int argc, char **argv)
{
	static char buffer[FRAME_BYTES];
	static struct stream stream;
	if (argc != 6)
		fail(2, "usage: receive ADDRESS LOW-PORT HIGH-PORT SOURCE DIR");
	end_with_parent();
	int dir = open(argv[5], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		fail(2, "%s: %s", argv[5], strerror(errno));
	stream_accept(&stream, argv[1], argv[2], argv[3], argv[4]);
	uint64_t sum = 0;
	uint32_t file = 0;
	int fd = -1;
	for (;;) {
		struct frame head;
		stream_wait(&stream);
		stream_read(&stream, &head, sizeof head);
		if (head.file == 0)
			break;
		if (head.length > PIECE_BYTES || head.file > LARGEST_FILES)
			fail(1, "a frame that is too large");
		if (fd < 0) {
			char name[32];
			if (head.file != ++file)
				fail(1, "pages-%u.img came where pages-%u.img was due", head.file, file);
			snprintf(name, sizeof name, "pages-%u.img", file);
			fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
			if (fd < 0)
				fail(errno == ENOSPC || errno == ENOMEM ? 3 : 1, "cannot make %s: %s", name, strerror(errno));
		} else if (head.file != file) {
			fail(1, "pages-%u.img came inside pages-%u.img", head.file, file);
		}
		if (head.length == 0) {
			close(fd);
			fd = -1;
			continue;
		}
		stream_read(&stream, buffer, head.length);
		write_all(fd, buffer, head.length);
		sum += head.length;
	}
	uint64_t sent;
	stream_read(&stream, &sent, sizeof sent);
	if (fd >= 0 || sent != sum)
		fail(1, "%llu bytes were sent, %llu came", (unsigned long long)sent, (unsigned long long)sum);
	stream_write(&stream, &sum, sizeof sum);
	stream_flush(&stream);
	printf("%llu\n", (unsigned long long)sum);
	return 0;
}
