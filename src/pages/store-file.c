#include "store-file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../init/arguments.h"
#include "uapi.h"

static int open_one(const struct store_files *files, const char *kind, uint32_t process, int flags)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s-%u", files->directory, kind, process);
	int fd = open(path, flags | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		fail(1, "cannot open %s: %s", path, strerror(errno));
	return fd;
}

static struct store_file *add_file(struct store_files *files, uint32_t process, int flags)
{
	if (files->count == files->room) {
		files->room = files->room == 0 ? 64 : files->room * 2;
		files->at = realloc(files->at, files->room * sizeof(struct store_file *));
	}
	struct store_file *file = calloc(1, sizeof *file);
	if (files->at == NULL || file == NULL)
		fail(1, "no memory for %zu processes", files->count);
	file->process = process;
	file->pages = open_one(files, "pages", process, flags);
	file->keep = open_one(files, "keep", process, flags);
	files->at[files->count++] = file;
	return file;
}

void open_files(struct store_files *files)
{
	DIR *directory = opendir(files->directory);
	unsigned process;
	int length;
	if (directory == NULL)
		fail(1, "cannot read %s: %s", files->directory, strerror(errno));
	for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
		if (sscanf(entry->d_name, "pages-%u%n", &process, &length) == 1 && entry->d_name[length] == '\0')
			add_file(files, process, 0);
	closedir(directory);
}

struct store_file *find_file(struct store_files *files, uint32_t process)
{
	for (size_t i = 0; i < files->count; i++)
		if (files->at[i]->process == process)
			return files->at[i];
	return NULL;
}

struct store_file *make_file(struct store_files *files, uint32_t process)
{
	struct store_file *file = find_file(files, process);
	return file != NULL ? file : add_file(files, process, O_CREAT | O_EXCL);
}

void remove_file(struct store_files *files, struct store_file *file)
{
	static const char *const kinds[] = { "pages", "keep" };
	char path[4096];
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		snprintf(path, sizeof path, "%s/%s-%u", files->directory, kinds[i], file->process);
		if (unlink(path) < 0)
			fail(1, "cannot remove %s: %s", path, strerror(errno));
	}
	close(file->pages);
	close(file->keep);
	free_segments(&file->coming);
	for (size_t i = 0; i < files->count; i++) {
		if (files->at[i] == file) {
			files->at[i] = files->at[--files->count];
			break;
		}
	}
	free(file);
}

static void write_at(int fd, const void *data, size_t length, uint64_t offset)
{
	for (size_t at = 0; at < length;) {
		ssize_t written = pwrite(fd, (const char *)data + at, length - at, (off_t)(offset + at));
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			fail(written == 0 || errno == ENOSPC || errno == ENOMEM ? 3 : 1, "cannot store pages: %s",
			     strerror(written == 0 ? ENOSPC : errno));
		at += (size_t)written;
	}
}

void write_file(struct store_file *file, uint64_t address, const void *data, size_t length)
{
	write_at(file->pages, data, length, address);
}

void read_file(struct store_file *file, uint64_t address, void *data, size_t length)
{
	for (size_t at = 0; at < length;) {
		ssize_t got = pread(file->pages, (char *)data + at, length - at, (off_t)(address + at));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			fail(1, "cannot read stored pages: %s", strerror(errno));
		if (got == 0) {
			/* Behind the last page that was stored: zeros, as any hole. */
			memset((char *)data + at, 0, length - at);
			return;
		}
		at += (size_t)got;
	}
}

void reserve_file(struct store_file *file, uint64_t start, uint64_t end)
{
	fallocate(file->pages, FALLOC_FL_KEEP_SIZE, (off_t)start, (off_t)(end - start));
}

void punch_file(struct store_file *file, uint64_t start, uint64_t end)
{
	if (start < end && fallocate(file->pages, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)start,
				     (off_t)(end - start)) < 0)
		fail(1, "cannot free stored pages: %s", strerror(errno));
}

bool next_data(struct store_file *file, uint64_t from, uint64_t limit, uint64_t *start)
{
	off_t data = lseek(file->pages, (off_t)from, SEEK_DATA);
	if (data < 0 && errno == ENXIO)
		return false;
	if (data < 0)
		fail(1, "cannot look into stored pages: %s", strerror(errno));
	*start = (uint64_t)data;
	return *start < limit;
}

uint64_t end_of_data(struct store_file *file, uint64_t start)
{
	off_t hole = lseek(file->pages, (off_t)start, SEEK_HOLE);
	if (hole < 0)
		fail(1, "cannot look into stored pages: %s", strerror(errno));
	return (uint64_t)hole;
}

void keep_ranges(struct store_file *file, const struct wire_run *runs, uint32_t count, bool last)
{
	uint64_t from = file->kept_to, start;
	if (from == 0 && ftruncate(file->keep, 0) < 0)
		fail(1, "cannot store a list: %s", strerror(errno));
	if (from == 0 && lseek(file->keep, 0, SEEK_SET) < 0)
		fail(1, "cannot store a list: %s", strerror(errno));
	for (uint32_t i = 0; i <= count; i++) {
		uint64_t to = i < count ? runs[i].address : last ? STORE_END : from;
		/* Most gaps hold nothing: asking is cheaper than punching. */
		if (from < to && next_data(file, from, to, &start))
			punch_file(file, from, to);
		if (i < count) {
			struct range range = { to, to + runs[i].pages * PAGE_BYTES };
			if (write(file->keep, &range, sizeof range) != sizeof range)
				fail(1, "cannot store a list: %s", strerror(errno));
			from = range.end;
		}
	}
	file->kept_to = last ? 0 : from;
}

void kept_ranges(struct store_file *file, struct ranges *out)
{
	struct range range;
	out->count = 0;
	for (off_t at = 0; pread(file->keep, &range, sizeof range, at) == sizeof range; at += sizeof range)
		add_range(out, range.start, range.end);
}
