#include "tmpfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../init/arguments.h"

static char buffer[PIECE_BYTES];
static size_t used;

/* Files with several names that were met. */
static struct {
	ino_t *inodes;
	uint32_t count, room;
} named;

static void flush(void)
{
	for (size_t done = 0; done < used;) {
		ssize_t wrote = write(STDOUT_FILENO, buffer + done, used - done);
		if (wrote > 0)
			done += (size_t)wrote;
		else if (wrote == 0 || errno != EINTR)
			fail(1, "cannot write: %s", wrote == 0 ? "nothing was taken" : strerror(errno));
	}
	used = 0;
}

static void put(const void *data, size_t bytes)
{
	for (const char *at = data; bytes > 0;) {
		size_t part = bytes < sizeof buffer - used ? bytes : sizeof buffer - used;
		memcpy(buffer + used, at, part);
		used += part;
		at += part;
		bytes -= part;
		if (used == sizeof buffer)
			flush();
	}
}

static void put_head(enum kind kind, const struct stat *stat, uint32_t number, const char *name, const char *target)
{
	const struct head head = {
		.kind = (uint8_t)kind,
		.name_bytes = (uint16_t)strlen(name),
		.target_bytes = (uint16_t)strlen(target),
		.mode = stat->st_mode,
		.uid = stat->st_uid,
		.gid = stat->st_gid,
		.device_major = major(stat->st_rdev),
		.device_minor = minor(stat->st_rdev),
		.number = number,
		.size = (uint64_t)stat->st_size,
		.seconds = stat->st_mtim.tv_sec,
		.nanoseconds = (uint32_t)stat->st_mtim.tv_nsec,
	};
	put(&head, sizeof head);
	put(name, head.name_bytes);
	put(target, head.target_bytes);
}

static bool is_zero(const char *page, size_t bytes)
{
	return page[0] == 0 && memcmp(page, page + 1, bytes - 1) == 0;
}

static void put_piece(uint64_t offset, const char *data, size_t bytes)
{
	const struct piece piece = { .offset = offset, .bytes = bytes };
	put(&piece, sizeof piece);
	put(data, bytes);
}

/* [from, from + bytes) of a file, as it was read, without its pages of zeros: they become holes. */
static void put_data(uint64_t from, const char *data, size_t bytes)
{
	size_t start = 0, at = 0;
	for (; at < bytes; at += PAGE_BYTES) {
		size_t length = bytes - at < PAGE_BYTES ? bytes - at : PAGE_BYTES;
		if (!is_zero(data + at, length))
			continue;
		if (at > start)
			put_piece(from + start, data + start, at - start);
		start = at + length;
	}
	if (start < bytes)
		put_piece(from + start, data + start, bytes - start);
}

static void put_content(int fd, const char *name, off_t size)
{
	static char data[PIECE_BYTES];
	for (off_t at = 0; at < size;) {
		off_t from = lseek(fd, at, SEEK_DATA);
		if (from < 0 && errno == ENXIO)
			break;
		off_t end = from < 0 ? -1 : lseek(fd, from, SEEK_HOLE);
		if (end < 0)
			fail(1, "cannot seek in %s: %s", name, strerror(errno));
		/* In whole pages, so that zeros are found. */
		from -= from % PAGE_BYTES;
		for (at = from; at < end;) {
			size_t most = end - at < PIECE_BYTES ? (size_t)(end - at) : PIECE_BYTES;
			ssize_t got = pread(fd, data, most, at);
			if (got <= 0)
				fail(1, "cannot read %s: %s", name, got == 0 ? "it shrank" : strerror(errno));
			put_data((uint64_t)at, data, (size_t)got);
			at += got;
		}
	}
	put_piece(0, NULL, 0);
}

/* The number of a file with several names; `again`: it was met before. */
static uint32_t number_of(const struct stat *stat, bool *again)
{
	*again = false;
	if (stat->st_nlink < 2)
		return 0;
	for (uint32_t i = 0; i < named.count; i++) {
		if (named.inodes[i] == stat->st_ino) {
			*again = true;
			return i + 1;
		}
	}
	if (named.count == named.room) {
		named.room = named.room == 0 ? 64 : 2 * named.room;
		named.inodes = realloc(named.inodes, named.room * sizeof *named.inodes);
		if (named.inodes == NULL)
			fail(1, "no memory");
	}
	named.inodes[named.count++] = stat->st_ino;
	return named.count;
}

static void pack_directory(int fd, const struct stat *stat, const char *name, int depth);

static void pack_entry(int parent, const char *name, dev_t device, int depth)
{
	static char target[PATH_MAX + 1];
	struct stat stat;
	bool again;
	if (fstatat(parent, name, &stat, AT_SYMLINK_NOFOLLOW) != 0)
		fail(1, "cannot look at %s: %s", name, strerror(errno));
	/* CRIU makes sockets anew. */
	if (S_ISSOCK(stat.st_mode))
		return;
	if (S_ISDIR(stat.st_mode)) {
		int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME);
		if (fd < 0)
			fail(1, "cannot open %s: %s", name, strerror(errno));
		if (stat.st_dev == device) {
			pack_directory(fd, &stat, name, depth + 1);
			return;
		}
		/* Where another file system is mounted: the place alone. */
		close(fd);
		put_head(KIND_DIRECTORY, &stat, 0, name, "");
		put_head(KIND_UP, &stat, 0, "", "");
		return;
	}
	if (stat.st_dev != device)
		return;
	uint32_t number = number_of(&stat, &again);
	if (again) {
		put_head(KIND_AGAIN, &stat, number, name, "");
	} else if (S_ISLNK(stat.st_mode)) {
		ssize_t length = readlinkat(parent, name, target, sizeof target - 1);
		if (length < 0)
			fail(1, "cannot read the link %s: %s", name, strerror(errno));
		target[length] = '\0';
		put_head(KIND_SYMLINK, &stat, number, name, target);
	} else if (S_ISREG(stat.st_mode)) {
		int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME);
		if (fd < 0)
			fail(1, "cannot open %s: %s", name, strerror(errno));
		put_head(KIND_FILE, &stat, number, name, "");
		put_content(fd, name, stat.st_size);
		close(fd);
	} else {
		put_head(KIND_NODE, &stat, number, name, "");
	}
}

static void pack_directory(int fd, const struct stat *stat, const char *name, int depth)
{
	DIR *directory = fdopendir(fd);
	if (directory == NULL)
		fail(1, "cannot read %s: %s", name, strerror(errno));
	if (depth > MOST_DEPTH)
		fail(1, "%s lies too deep", name);
	put_head(KIND_DIRECTORY, stat, 0, name, "");
	for (;;) {
		errno = 0;
		const struct dirent *found = readdir(directory);
		if (found == NULL && errno != 0)
			fail(1, "cannot read %s: %s", name, strerror(errno));
		if (found == NULL)
			break;
		if (strcmp(found->d_name, ".") != 0 && strcmp(found->d_name, "..") != 0)
			pack_entry(fd, found->d_name, stat->st_dev, depth);
	}
	put_head(KIND_UP, stat, 0, "", "");
	closedir(directory);
}

void pack(const char *directory)
{
	struct stat stat;
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &stat) != 0)
		fail(1, "cannot open %s: %s", directory, strerror(errno));
	put(MAGIC, MAGIC_BYTES);
	pack_directory(fd, &stat, "", 0);
	put_head(KIND_END, &stat, 0, "", "");
	flush();
}
