#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../init/arguments.h"
#include "attributes.h"

/* Files from this size on are compared block by block when they change; larger than the second, always sent whole. */
#define LEAST_SUMMED (2 * BLOCK_BYTES)
#define MOST_SUMMED (1ULL << 36)

struct pass {
	struct out *out;
	struct place *place;
	struct tree *before, *now;
	int final;
	size_t changed;
	struct inodes known;  /* regular files: inode -> first entry of `before` */
	struct inodes kept;   /* inode -> entry of `now` that is at its path already */
	struct inodes placed; /* inode -> entry of `now` that is in its place by now */
	struct inodes held;
};

static int same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Whether what lies at a path is the thing that lay there, be it changed. */
static int is_same(const struct entry *old, const struct entry *new)
{
	if ((old->mode & S_IFMT) != (new->mode & S_IFMT))
		return 0;
	if (S_ISREG(new->mode))
		return old->inode == new->inode;
	if (S_ISDIR(new->mode))
		return 1;
	return old->inode == new->inode && same_time(old->changed, new->changed) && !old->unsure;
}

/* While the container runs, files come and go: the next pass sees. In the freeze it is a failure. */
static void vanished(struct pass *pass, struct entry *entry)
{
	if (pass->final)
		fail(1, "/%s changed in the freeze: %s", entry->path, strerror(errno));
	entry->unsure = 1;
}

static void touch_parent(struct pass *pass, const char *path)
{
	char parent[PATH_BYTES];
	const char *slash = strrchr(path, '/');
	size_t length = slash == NULL ? 0 : (size_t)(slash - path);
	memcpy(parent, path, length);
	parent[length] = '\0';
	struct entry *found = tree_find(pass->now, parent);
	if (found != NULL)
		found->touched = 1;
}

static void send_path(struct pass *pass, enum operation operation, const void *head, size_t bytes, const char *path)
{
	out_record(pass->out, operation, head, bytes, path, strlen(path));
}

static void send_two(struct pass *pass, enum operation operation, const char *path, const char *other, size_t length)
{
	static char first[sizeof(uint32_t) + PATH_BYTES];
	const uint32_t bytes = (uint32_t)strlen(path);
	memcpy(first, &bytes, sizeof bytes);
	memcpy(first + sizeof bytes, path, bytes);
	out_record(pass->out, operation, first, sizeof bytes + bytes, other, length);
}

/* Finds what is new at its path, and what is there no more; the latter goes, last first, so that directories are empty. */
static void send_removals(struct pass *pass)
{
	struct tree *before = pass->before, *now = pass->now;
	size_t *gone = malloc((before->count + 1) * sizeof *gone), count = 0;
	if (gone == NULL)
		fail(1, "no memory");
	for (size_t i = 0, j = 0; i < before->count || j < now->count;) {
		int order = i == before->count ? 1
			    : j == now->count  ? -1
					       : compare_paths(before->entries[i].path, now->entries[j].path);
		if (order == 0 && is_same(&before->entries[i], &now->entries[j])) {
			if (!S_ISDIR(now->entries[j].mode))
				inodes_put(&pass->kept, now->entries[j].inode, j);
		} else {
			if (order >= 0)
				now->entries[j].created = 1;
			if (order <= 0)
				gone[count++] = i;
		}
		i += order <= 0;
		j += order >= 0;
	}
	for (size_t i = 0; i < before->count; i++)
		if (S_ISREG(before->entries[i].mode))
			inodes_put(&pass->known, before->entries[i].inode, i);
	for (size_t j = 0; j < now->count; j++) {
		const struct entry *entry = &now->entries[j];
		if (!entry->created || !S_ISREG(entry->mode) || inodes_get(&pass->kept, entry->inode) != SIZE_MAX)
			continue;
		/* Under another name, it need not travel again. */
		size_t old = inodes_get(&pass->known, entry->inode);
		if (old == SIZE_MAX || inodes_get(&pass->held, entry->inode) != SIZE_MAX)
			continue;
		inodes_put(&pass->held, entry->inode, old);
		send_path(pass, OP_HOLD, &entry->inode, sizeof entry->inode, before->entries[old].path);
	}
	while (count-- > 0) {
		const char *path = before->entries[gone[count]].path;
		send_path(pass, OP_REMOVE, NULL, 0, path);
		touch_parent(pass, path);
		pass->changed++;
	}
	free(gone);
}

/* Opens a file of the living tree; -1 where it is not what was found there. */
static int open_entry(struct pass *pass, struct entry *entry)
{
	struct stat stat;
	const char *name = place_enter(pass->place, entry->path);
	if (name == NULL)
		return -1;
	int fd = openat(pass->place->parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOATIME);
	if (fd < 0)
		return -1;
	if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_ino == entry->inode) {
		entry->size = (uint64_t)stat.st_size;
		return fd;
	}
	close(fd);
	errno = ESTALE;
	return -1;
}

/* A further name of what is in its place already. */
static void send_link(struct pass *pass, struct entry *entry, size_t there)
{
	const char *from = pass->now->entries[there].path;
	send_two(pass, OP_LINK, entry->path, from, strlen(from));
	touch_parent(pass, entry->path);
	pass->changed++;
}

static void send_regular(struct pass *pass, size_t index)
{
	struct entry *entry = &pass->now->entries[index];
	size_t at = inodes_get(&pass->placed, entry->inode);
	const size_t kept = inodes_get(&pass->kept, entry->inode), known = inodes_get(&pass->known, entry->inode);
	if (entry->created && at == SIZE_MAX && kept != SIZE_MAX)
		at = kept;
	if (entry->created && at != SIZE_MAX)
		send_link(pass, entry, at);
	if (inodes_get(&pass->placed, entry->inode) != SIZE_MAX)
		return;
	struct entry *old = known == SIZE_MAX ? NULL : &pass->before->entries[known];
	struct file_head head = { .inode = entry->inode, .origin = kept != SIZE_MAX ? THERE : old != NULL ? HELD : NEW };
	const int changed = old == NULL || old->unsure || old->size != entry->size || !same_time(old->changed, entry->changed);
	if (!changed && head.origin == THERE) {
		entry->sums = old->sums;
		old->sums = NULL;
		inodes_put(&pass->placed, entry->inode, index);
		return;
	}
	int fd = open_entry(pass, entry);
	if (fd < 0)
		vanished(pass, entry);
	if (fd < 0 && head.origin == NEW) {
		entry->dropped = 1;
		return;
	}
	struct block_sums *sums = old == NULL ? NULL : old->sums;
	head.size = fd < 0 ? old->size : entry->size;
	head.empty = fd >= 0 && changed && sums == NULL;
	send_path(pass, OP_FILE, &head, sizeof head, entry->path);
	inodes_put(&pass->placed, entry->inode, index);
	if (entry->created)
		touch_parent(pass, entry->path);
	pass->changed++;
	if (fd >= 0) {
		const int keep = !pass->final && entry->size >= LEAST_SUMMED && entry->size <= MOST_SUMMED;
		if (changed && send_content(pass->out, entry, fd, sums, keep) != 0)
			vanished(pass, entry);
		close(fd);
	}
	if (!changed) {
		entry->sums = old->sums;
		old->sums = NULL;
	} else if (send_attributes(pass->out, pass->place, entry) != 0) {
		vanished(pass, entry);
	}
}

static void send_other(struct pass *pass, size_t index)
{
	struct entry *entry = &pass->now->entries[index];
	if (!entry->created)
		return;
	if (!S_ISDIR(entry->mode)) {
		const size_t placed = inodes_get(&pass->placed, entry->inode), kept = inodes_get(&pass->kept, entry->inode);
		if (placed != SIZE_MAX || kept != SIZE_MAX)
			return send_link(pass, entry, placed != SIZE_MAX ? placed : kept);
	}
	touch_parent(pass, entry->path);
	pass->changed++;
	if (S_ISDIR(entry->mode))
		return send_path(pass, OP_DIRECTORY, NULL, 0, entry->path);
	if (S_ISLNK(entry->mode)) {
		char to[PATH_BYTES];
		const char *name = place_enter(pass->place, entry->path);
		ssize_t length = name == NULL ? -1 : readlinkat(pass->place->parent, name, to, sizeof to);
		if (length <= 0 || length == sizeof to) {
			vanished(pass, entry);
			entry->dropped = 1;
			return;
		}
		send_two(pass, OP_SYMLINK, entry->path, to, (size_t)length);
	} else {
		if (!S_ISFIFO(entry->mode) && (!S_ISCHR(entry->mode) || entry->device_major != 0 || entry->device_minor != 0))
			fail(1, "/%s is a device", entry->path);
		const uint32_t type = entry->mode & S_IFMT;
		send_path(pass, OP_NODE, &type, sizeof type, entry->path);
	}
	inodes_put(&pass->placed, entry->inode, index);
	if (send_attributes(pass->out, pass->place, entry) != 0)
		vanished(pass, entry);
}

/* Last, and from the bottom up: what is done in a directory changes its times. */
static void send_directories(struct pass *pass)
{
	for (size_t i = pass->now->count; i-- > 0;) {
		struct entry *entry = &pass->now->entries[i];
		if (!S_ISDIR(entry->mode))
			continue;
		const struct entry *old = entry->created ? NULL : tree_find(pass->before, entry->path);
		if (old != NULL && !entry->touched && !old->unsure && old->inode == entry->inode &&
		    same_time(old->changed, entry->changed))
			continue;
		pass->changed += old != NULL;
		if (send_attributes(pass->out, pass->place, entry) != 0)
			vanished(pass, entry);
	}
}

static void forget_dropped(struct tree *tree)
{
	size_t count = 0;
	for (size_t i = 0; i < tree->count; i++) {
		if (tree->entries[i].dropped) {
			free(tree->entries[i].path);
			free(tree->entries[i].sums);
		} else {
			tree->entries[count++] = tree->entries[i];
		}
	}
	tree->count = count;
}

size_t send_changes(struct out *out, struct place *place, struct tree *before, struct tree *now, int final)
{
	struct pass pass = { .out = out, .place = place, .before = before, .now = now, .final = final };
	struct inodes *const maps[] = { &pass.known, &pass.kept, &pass.placed, &pass.held };
	for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
		inodes_open(maps[i], i < 3 ? now->count : 16);
	send_removals(&pass);
	for (size_t i = 0; i < now->count; i++) {
		if (S_ISREG(now->entries[i].mode))
			send_regular(&pass, i);
		else
			send_other(&pass, i);
	}
	send_directories(&pass);
	forget_dropped(now);
	for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
		inodes_close(maps[i]);
	return pass.changed;
}
