#include "upper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../init/arguments.h"

enum { MOST_DEPTH = 500 };

static struct entry *add(struct tree *tree, const char *path, const struct stat *stat)
{
	if (tree->count == tree->room) {
		tree->room = tree->room == 0 ? 256 : 2 * tree->room;
		tree->entries = realloc(tree->entries, tree->room * sizeof *tree->entries);
		if (tree->entries == NULL)
			fail(1, "no memory");
	}
	struct entry *entry = &tree->entries[tree->count++];
	*entry = (struct entry){
		.path = strdup(path),
		.inode = stat->st_ino,
		.size = (uint64_t)stat->st_size,
		.mode = stat->st_mode,
		.uid = stat->st_uid,
		.gid = stat->st_gid,
		.links = (uint32_t)stat->st_nlink,
		.device_major = major(stat->st_rdev),
		.device_minor = minor(stat->st_rdev),
		.modified = stat->st_mtim,
		.changed = stat->st_ctim,
	};
	if (entry->path == NULL)
		fail(1, "no memory");
	return entry;
}

/* The tree lives: what vanishes while it is read is not there, and what appears is found the next time. */
static void scan(struct tree *tree, int fd, char *path, size_t length, dev_t device, int depth)
{
	DIR *dir = fdopendir(fd);
	if (dir == NULL)
		fail(1, "cannot read /%s: %s", path, strerror(errno));
	if (depth > MOST_DEPTH)
		fail(1, "/%s lies too deep", path);
	for (;;) {
		errno = 0;
		const struct dirent *found = readdir(dir);
		if (found == NULL && errno != 0 && errno != ENOENT)
			fail(1, "cannot read /%s: %s", path, strerror(errno));
		if (found == NULL)
			break;
		const char *name = found->d_name;
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		size_t more = strlen(name) + (length > 0);
		if (length + more + 1 > PATH_BYTES)
			fail(1, "/%s/%s is too long a path", path, name);
		struct stat stat;
		if (fstatat(dirfd(dir), name, &stat, AT_SYMLINK_NOFOLLOW) != 0) {
			if (errno == ENOENT)
				continue;
			fail(1, "cannot look at /%s/%s: %s", path, name, strerror(errno));
		}
		/* CRIU makes sockets anew. */
		if (S_ISSOCK(stat.st_mode))
			continue;
		if (stat.st_dev != device)
			fail(1, "/%s/%s lies on another file system", path, name);
		if (length > 0)
			path[length] = '/';
		strcpy(path + length + (length > 0), name);
		add(tree, path, &stat);
		if (S_ISDIR(stat.st_mode)) {
			int below = openat(dirfd(dir), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME);
			if (below >= 0)
				scan(tree, below, path, length + more, device, depth + 1);
			else if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
				fail(1, "cannot open /%s: %s", path, strerror(errno));
		}
		path[length] = '\0';
	}
	closedir(dir);
}

static int by_path(const void *a, const void *b)
{
	return compare_paths(((const struct entry *)a)->path, ((const struct entry *)b)->path);
}

void tree_scan(struct tree *tree, struct place *place)
{
	static char path[PATH_BYTES + 1];
	struct stat stat;
	int fd = openat(place->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOATIME);
	if (fd < 0 || fstat(fd, &stat) != 0)
		fail(1, "cannot open the directory: %s", strerror(errno));
	*tree = (struct tree){ 0 };
	path[0] = '\0';
	add(tree, path, &stat);
	scan(tree, fd, path, 0, stat.st_dev, 0);
	qsort(tree->entries, tree->count, sizeof *tree->entries, by_path);
}

void tree_free(struct tree *tree)
{
	for (size_t i = 0; i < tree->count; i++) {
		free(tree->entries[i].path);
		free(tree->entries[i].sums);
	}
	free(tree->entries);
	*tree = (struct tree){ 0 };
}

struct entry *tree_find(struct tree *tree, const char *path)
{
	const struct entry key = { .path = (char *)path };
	if (tree->count == 0)
		return NULL;
	return bsearch(&key, tree->entries, tree->count, sizeof *tree->entries, by_path);
}

int compare_paths(const char *a, const char *b)
{
	while (*a != '\0' && *a == *b) {
		a++;
		b++;
	}
	int left = *a == '/' ? 1 : *a == '\0' ? 0 : (unsigned char)*a + 1;
	int right = *b == '/' ? 1 : *b == '\0' ? 0 : (unsigned char)*b + 1;
	return left - right;
}
