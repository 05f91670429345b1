#include "upper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../init/arguments.h"

/* One write(2) sets the times when it begins. It takes at most 2 GiB, and not longer than this. */
enum { LONGEST_WRITE_SECONDS = 30 };

static void mark(struct inodes *open, struct place *place, const char *path, int recent_only)
{
	/* Paths as the container sees them: its root is the overlay of this directory. What is not in it stays. */
	if (path[0] != '/' || path[1] == '\0')
		return;
	int fd = place_peek(place, path + 1);
	struct stat stat;
	if (fd < 0)
		return;
	if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) &&
	    (!recent_only || stat.st_ctim.tv_sec >= time(NULL) - LONGEST_WRITE_SECONDS))
		inodes_put(open, stat.st_ino, 0);
	close(fd);
}

/* Memory that is a file: once a page may be written, further writes leave no sign, and munmap(2) neither. */
static void mark_mapped(struct inodes *open, struct place *place, const char *pid)
{
	char name[64], *line = NULL;
	size_t room = 0;
	snprintf(name, sizeof name, "/proc/%s/maps", pid);
	FILE *maps = fopen(name, "re");
	if (maps == NULL)
		return;
	while (getline(&line, &room, maps) > 0) {
		char access[8];
		int at = 0;
		if (sscanf(line, "%*s %7s %*s %*s %*s %n", access, &at) < 1 || access[1] != 'w' || access[3] != 's' || at == 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		mark(open, place, line + at, 0);
	}
	free(line);
	fclose(maps);
}

static int is_for_writing(const char *pid, const char *fd)
{
	char name[64], line[64];
	unsigned flags = 0;
	snprintf(name, sizeof name, "/proc/%.16s/fdinfo/%.16s", pid, fd);
	FILE *info = fopen(name, "re");
	if (info == NULL)
		return 0;
	while (fgets(line, sizeof line, info) != NULL && sscanf(line, "flags: %o", &flags) != 1)
		;
	fclose(info);
	return (flags & O_ACCMODE) != O_RDONLY;
}

static void mark_open(struct inodes *open, struct place *place, const char *pid)
{
	char name[64], path[PATH_BYTES];
	snprintf(name, sizeof name, "/proc/%.16s/fd", pid);
	DIR *fds = opendir(name);
	if (fds == NULL)
		return;
	for (const struct dirent *fd; (fd = readdir(fds)) != NULL;) {
		ssize_t length = readlinkat(dirfd(fds), fd->d_name, path, sizeof path - 1);
		if (length <= 0 || path[0] != '/')
			continue;
		path[length] = '\0';
		if (is_for_writing(pid, fd->d_name))
			mark(open, place, path, 1);
	}
	closedir(fds);
}

void find_open_files(struct inodes *open, const char *cgroup, struct place *place)
{
	char name[PATH_BYTES], pid[32];
	inodes_open(open, 4096);
	snprintf(name, sizeof name, "%s/cgroup.procs", cgroup);
	FILE *processes = fopen(name, "re");
	if (processes == NULL)
		fail(1, "cannot read %s: %s", name, strerror(errno));
	while (fgets(pid, sizeof pid, processes) != NULL) {
		pid[strcspn(pid, "\n")] = '\0';
		mark_mapped(open, place, pid);
		mark_open(open, place, pid);
	}
	fclose(processes);
}
