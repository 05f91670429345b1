#include "tmpfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../init/arguments.h"

static char buffer[PIECE_BYTES];
static size_t used, filled;

/* Files with several names, by number: open with O_PATH. */
static struct {
	int *files;
	uint32_t count, room;
} named;

static void get(void *data, size_t bytes)
{
	for (char *at = data; bytes > 0;) {
		if (used == filled) {
			ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);
			if (got < 0 && errno == EINTR)
				continue;
			if (got <= 0)
				fail(1, "the content ends in the middle");
			used = 0;
			filled = (size_t)got;
		}
		size_t part = bytes < filled - used ? bytes : filled - used;
		memcpy(at, buffer + used, part);
		used += part;
		at += part;
		bytes -= part;
	}
}

static char name[NAME_MAX + 1], target[PATH_MAX + 1];

static struct head get_head(void)
{
	struct head head;
	get(&head, sizeof head);
	if (head.name_bytes > NAME_MAX || head.target_bytes > PATH_MAX)
		fail(1, "the content is malformed");
	get(name, head.name_bytes);
	get(target, head.target_bytes);
	name[head.name_bytes] = target[head.target_bytes] = '\0';
	if (strlen(name) != head.name_bytes || strchr(name, '/') != NULL || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		fail(1, "the content names what cannot be: %s", name);
	return head;
}

static struct timespec time_of(const struct head *head)
{
	return (struct timespec){ .tv_sec = head->seconds, .tv_nsec = head->nanoseconds };
}

/* Owner before mode: chown(2) takes set-user-ID away. */
static void set_open(int fd, const struct head *head, const char *of)
{
	const struct timespec times[] = { { .tv_nsec = UTIME_OMIT }, time_of(head) };
	if (fchown(fd, head->uid, head->gid) != 0 || fchmod(fd, head->mode & 07777) != 0 || futimens(fd, times) != 0)
		fail(1, "cannot set the attributes of %s: %s", of, strerror(errno));
}

static void set_named(int parent, const struct head *head)
{
	const struct timespec times[] = { { .tv_nsec = UTIME_OMIT }, time_of(head) };
	if (fchownat(parent, name, head->uid, head->gid, AT_SYMLINK_NOFOLLOW) != 0 ||
	    (!S_ISLNK(head->mode) && fchmodat(parent, name, head->mode & 07777, 0) != 0) ||
	    utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) != 0)
		fail(1, "cannot set the attributes of %s: %s", name, strerror(errno));
}

static void remember(int parent, uint32_t number)
{
	if (number == 0)
		return;
	if (number != named.count + 1)
		fail(1, "the content counts wrongly");
	if (named.count == named.room) {
		named.room = named.room == 0 ? 64 : 2 * named.room;
		named.files = realloc(named.files, named.room * sizeof *named.files);
		if (named.files == NULL)
			fail(1, "no memory");
	}
	int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		fail(1, "cannot open %s: %s", name, strerror(errno));
	named.files[named.count++] = fd;
}

static void write_at(int fd, const char *data, size_t bytes, uint64_t offset)
{
	while (bytes > 0) {
		ssize_t wrote = pwrite(fd, data, bytes, (off_t)offset);
		if (wrote == 0 || (wrote < 0 && errno != EINTR))
			fail(1, "cannot write %s: %s", name, wrote == 0 ? "nothing was taken" : strerror(errno));
		if (wrote < 0)
			continue;
		data += wrote;
		bytes -= (size_t)wrote;
		offset += (uint64_t)wrote;
	}
}

static void unpack_file(int parent, const struct head *head)
{
	static char data[PIECE_BYTES];
	struct piece piece;
	int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)head->size) != 0)
		fail(1, "cannot make %s: %s", name, strerror(errno));
	for (;;) {
		get(&piece, sizeof piece);
		if (piece.bytes == 0)
			break;
		if (piece.bytes > sizeof data || piece.offset > head->size || piece.bytes > head->size - piece.offset)
			fail(1, "the content of %s is malformed", name);
		get(data, piece.bytes);
		write_at(fd, data, piece.bytes, piece.offset);
	}
	set_open(fd, head, name);
	close(fd);
}

static void link_again(int parent, uint32_t number)
{
	if (number == 0 || number > named.count)
		fail(1, "the content names a file that was not there");
	if (linkat(named.files[number - 1], "", parent, name, AT_EMPTY_PATH) != 0)
		fail(1, "cannot link %s: %s", name, strerror(errno));
}

static void make_node(int parent, const struct head *head)
{
	if (!S_ISFIFO(head->mode) && !S_ISCHR(head->mode) && !S_ISBLK(head->mode))
		fail(1, "the content is malformed");
	if (mknodat(parent, name, head->mode, makedev(head->device_major, head->device_minor)) != 0)
		fail(1, "cannot make %s: %s", name, strerror(errno));
	set_named(parent, head);
}

static void unpack_below(int fd, const struct head *own, int depth);

static void unpack_directory(int parent, const struct head *head, int depth)
{
	if (mkdirat(parent, name, 0700) != 0 && errno != EEXIST)
		fail(1, "cannot make %s: %s", name, strerror(errno));
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		fail(1, "cannot open %s: %s", name, strerror(errno));
	unpack_below(fd, head, depth + 1);
	close(fd);
}

static void unpack_below(int fd, const struct head *own, int depth)
{
	if (depth > MOST_DEPTH)
		fail(1, "the content lies too deep");
	for (;;) {
		const struct head head = get_head();
		if (head.kind == KIND_UP)
			break;
		if (head.name_bytes == 0)
			fail(1, "the content is malformed");
		switch (head.kind) {
		case KIND_DIRECTORY:
			unpack_directory(fd, &head, depth);
			continue;
		case KIND_FILE:
			unpack_file(fd, &head);
			break;
		case KIND_AGAIN:
			link_again(fd, head.number);
			continue;
		case KIND_SYMLINK:
			if (symlinkat(target, fd, name) != 0)
				fail(1, "cannot make %s: %s", name, strerror(errno));
			set_named(fd, &head);
			break;
		case KIND_NODE:
			make_node(fd, &head);
			break;
		default:
			fail(1, "the content is malformed");
		}
		remember(fd, head.number);
	}
	set_open(fd, own, "a directory");
}

/* The magic was read. */
void unpack(const char *directory)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fail(1, "cannot open %s: %s", directory, strerror(errno));
	const struct head root = get_head();
	if (root.kind != KIND_DIRECTORY)
		fail(1, "the content is malformed");
	unpack_below(fd, &root, 0);
	if (get_head().kind != KIND_END)
		fail(1, "the content goes on behind its end");
}
