#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "../init/arguments.h"
#include "attributes.h"

static struct place tree, other;
static int stage;
/* What data is for. */
static int file = -1;
static uint64_t file_bytes;

void fail_full(const char *format, ...)
{
	const int full = errno == ENOSPC || errno == EDQUOT || errno == ENOMEM;
	char message[1024];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	fail(full ? 3 : 1, "%s", message);
}

const char *enter_checked(struct place *place, const char *path)
{
	for (const char *part = path; *path != '\0';) {
		size_t length = strcspn(part, "/");
		if (length == 0 || length > NAME_MAX || (length == 1 && part[0] == '.') ||
		    (length == 2 && part[0] == '.' && part[1] == '.'))
			fail(1, "a path leads elsewhere: %.100s", path);
		if (part[length] == '\0')
			break;
		part += length + 1;
	}
	const char *name = place_enter(place, path);
	if (name == NULL)
		fail(1, "cannot come to /%s: %s", path, strerror(errno));
	return name;
}

/* A path of `length` bytes that begins at `at` in the payload, NULL where that is not there. */
static const char *path_at(struct record record, size_t at, size_t length)
{
	static char paths[2][PATH_BYTES];
	static int turn;
	if (at > record.length || length > record.length - at || length >= PATH_BYTES ||
	    memchr(record.payload + at, '\0', length) != NULL)
		fail(1, "a record is malformed");
	turn = !turn;
	memcpy(paths[turn], record.payload + at, length);
	paths[turn][length] = '\0';
	return paths[turn];
}

static const char *rest_path(struct record record, size_t at)
{
	if (record.length < at || record.length - at == 0)
		fail(1, "a record is malformed");
	return path_at(record, at, record.length - at);
}

/* Two texts, the first with its length before it. */
static const char *first_of_two(struct record record, const char **second)
{
	uint32_t length;
	if (record.length < sizeof length)
		fail(1, "a record is malformed");
	memcpy(&length, record.payload, sizeof length);
	if (length == 0 || length > record.length - sizeof length)
		fail(1, "a record is malformed");
	const char *first = path_at(record, sizeof length, length);
	*second = rest_path(record, sizeof length + length);
	return first;
}

static void must(int result, const char *what, const char *path)
{
	if (result != 0)
		fail_full("cannot %s /%s: %s", what, path, strerror(errno));
}

static void stage_name(uint64_t inode, char *name)
{
	sprintf(name, "%016llx", (unsigned long long)inode);
}

static void hold(struct record record)
{
	uint64_t inode;
	char held[32];
	const char *path = rest_path(record, sizeof inode);
	memcpy(&inode, record.payload, sizeof inode);
	stage_name(inode, held);
	must(linkat(tree.parent, enter_checked(&tree, path), stage, held, 0), "hold", path);
}

static void remove_at(struct record record)
{
	const char *path = rest_path(record, 0), *name = enter_checked(&tree, path);
	if (unlinkat(tree.parent, name, 0) == 0)
		return;
	if (errno != EISDIR)
		must(-1, "remove", path);
	must(unlinkat(tree.parent, name, AT_REMOVEDIR), "remove", path);
	place_forget(&tree);
	place_forget(&other);
}

static void make_node(struct record record)
{
	uint32_t mode;
	const char *path = rest_path(record, sizeof mode);
	memcpy(&mode, record.payload, sizeof mode);
	if (!S_ISFIFO(mode) && !S_ISCHR(mode))
		fail(1, "/%s is a device", path);
	/* The number of a device is never taken from the stream. */
	const char *name = enter_checked(&tree, path);
	must(mknodat(tree.parent, name, (mode & S_IFMT) | 0600, 0), "make", path);
}

static void open_file(struct record record)
{
	struct file_head head;
	const char *path = rest_path(record, sizeof head), *name = enter_checked(&tree, path);
	struct stat stat;
	char held[32];
	memcpy(&head, record.payload, sizeof head);
	if (file >= 0)
		close(file);
	if (head.origin == HELD) {
		stage_name(head.inode, held);
		must(linkat(stage, held, tree.parent, name, 0), "place", path);
	}
	const int make = head.origin == NEW ? O_CREAT | O_EXCL : 0;
	file = openat(tree.parent, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | make, 0600);
	if (file < 0 || fstat(file, &stat) != 0 || !S_ISREG(stat.st_mode))
		fail_full("cannot open /%s: %s", path, strerror(errno));
	file_bytes = head.size;
	if (head.empty && stat.st_size > 0)
		must(ftruncate(file, 0), "empty", path);
	if (head.empty || (uint64_t)stat.st_size != head.size)
		must(ftruncate(file, (off_t)head.size), "size", path);
}

static void write_at(struct record record)
{
	uint64_t at;
	if (file < 0 || record.length < sizeof at)
		fail(1, "a record is malformed");
	memcpy(&at, record.payload, sizeof at);
	const char *data = record.payload + sizeof at;
	size_t left = record.length - sizeof at;
	if (at > file_bytes || left > file_bytes - at)
		fail(1, "data behind the end of its file");
	while (left > 0) {
		ssize_t done = pwrite(file, data, left, (off_t)at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			fail_full("cannot write: %s", strerror(errno));
		data += done;
		at += (uint64_t)done;
		left -= (size_t)done;
	}
}

static void punch(struct record record)
{
	uint64_t range[2];
	if (file < 0 || record.length != sizeof range)
		fail(1, "a record is malformed");
	memcpy(range, record.payload, sizeof range);
	if (range[1] == 0 || range[0] > file_bytes || range[1] > file_bytes - range[0])
		fail(1, "a hole behind the end of its file");
	if (fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)range[0], (off_t)range[1]) != 0)
		fail_full("cannot make a hole: %s", strerror(errno));
}

static void empty_stage(void)
{
	int fd = openat(stage, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (dir == NULL)
		fail(1, "cannot read the stage: %s", strerror(errno));
	for (const struct dirent *found; (found = readdir(dir)) != NULL;)
		if (found->d_name[0] != '.' && unlinkat(stage, found->d_name, 0) != 0)
			fail(1, "cannot empty the stage: %s", strerror(errno));
	closedir(dir);
}

static void apply(struct record record)
{
	const char *path, *to;
	switch (record.operation) {
	case OP_HOLD:
		return hold(record);
	case OP_REMOVE:
		return remove_at(record);
	case OP_DIRECTORY:
		path = rest_path(record, 0);
		to = enter_checked(&tree, path);
		return must(mkdirat(tree.parent, to, 0700), "make", path);
	case OP_SYMLINK:
		path = first_of_two(record, &to);
		return must(symlinkat(to, (enter_checked(&tree, path), tree.parent), enter_checked(&tree, path)), "link", path);
	case OP_NODE:
		return make_node(record);
	case OP_FILE:
		return open_file(record);
	case OP_LINK: {
		path = first_of_two(record, &to);
		const char *name = enter_checked(&tree, path), *from = enter_checked(&other, to);
		return must(linkat(other.parent, from, tree.parent, name, 0), "link", path);
	}
	case OP_WRITE:
		return write_at(record);
	case OP_PUNCH:
		return punch(record);
	case OP_ATTRIBUTES:
		return take_attributes(&tree, record);
	default:
		fail(1, "a record of unknown kind %d", record.operation);
	}
}

static int is_empty(int directory)
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), found = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (dir == NULL)
		fail(1, "cannot read the directory: %s", strerror(errno));
	while (readdir(dir) != NULL)
		found++;
	closedir(dir);
	return found == 2;
}

int target(int argc, char **argv)
{
	if (argc != 3)
		fail(2, "usage: rankshift-upper target DIRECTORY STAGE");
	umask(0);
	place_open(&tree, argv[1]);
	other = tree;
	if (!is_empty(tree.root))
		fail(4, "%s is not empty", argv[1]);
	if (mkdir(argv[2], 0700) != 0 && errno != EEXIST)
		fail(1, "cannot make %s: %s", argv[2], strerror(errno));
	stage = open(argv[2], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (stage < 0)
		fail(1, "cannot open %s: %s", argv[2], strerror(errno));
	empty_stage();
	for (int passes = 0;;) {
		struct record record = in_record();
		if (record.operation == OP_END)
			break;
		if (record.operation != OP_PASS) {
			apply(record);
			continue;
		}
		empty_stage();
		if (file >= 0)
			close(file);
		file = -1;
		printf("pass %d\n", ++passes);
		fflush(stdout);
	}
	if (rmdir(argv[2]) != 0)
		fail(1, "cannot remove %s: %s", argv[2], strerror(errno));
	return 0;
}
