#include "attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../init/arguments.h"

/* By these overlayfs remembers files of this node's lower layers; on another node they would point to nothing or to
 * something else, and it does without them (overlayfs.rst). */
static const char *const node_bound[] = { "trusted.overlay.origin", "trusted.overlay.impure", "trusted.overlay.nlink",
					  "trusted.overlay.uuid" };

static int is_node_bound(const char *name)
{
	for (size_t i = 0; i < sizeof node_bound / sizeof *node_bound; i++)
		if (strcmp(name, node_bound[i]) == 0)
			return 1;
	return 0;
}

static char body[PATH_BYTES + 4 * XATTR_BYTES];
static size_t used;

static int append(const void *data, size_t length)
{
	if (used + length > sizeof body)
		fail(1, "too many extended attributes");
	memcpy(body + used, data, length);
	used += length;
	return 0;
}

int send_attributes(struct out *out, struct place *place, const struct entry *entry)
{
	static char names[XATTR_BYTES], value[XATTR_BYTES];
	struct attribute_head head = {
		.mode = entry->mode,
		.uid = entry->uid,
		.gid = entry->gid,
		.path_bytes = (uint32_t)strlen(entry->path),
		.seconds = entry->modified.tv_sec,
		.nanoseconds = (uint32_t)entry->modified.tv_nsec,
	};
	const char *name = place_enter(place, entry->path);
	if (name == NULL || fchdir(place->parent) != 0)
		return -1;
	ssize_t length = llistxattr(name, names, sizeof names);
	if (length < 0 && errno != EOPNOTSUPP)
		return -1;
	used = 0;
	append(entry->path, head.path_bytes);
	for (const char *at = names; at < names + length; at += strlen(at) + 1) {
		if (is_node_bound(at))
			continue;
		ssize_t bytes = lgetxattr(name, at, value, sizeof value);
		if (bytes < 0 && errno == ENODATA)
			continue;
		if (bytes < 0)
			return -1;
		const uint32_t lengths[] = { (uint32_t)strlen(at), (uint32_t)bytes };
		append(lengths, sizeof lengths);
		append(at, lengths[0]);
		append(value, lengths[1]);
		head.xattrs++;
	}
	out_record(out, OP_ATTRIBUTES, &head, sizeof head, body, used);
	return 0;
}

/* Removes what the other side does not have. */
static void drop_others(const char *name, const char *const *kept, size_t count)
{
	static char names[XATTR_BYTES];
	ssize_t length = llistxattr(name, names, sizeof names);
	for (const char *at = names; at < names + length; at += strlen(at) + 1) {
		int keep = strncmp(at, "security.selinux", 16) == 0;
		for (size_t i = 0; i < count; i++)
			keep |= strcmp(at, kept[i]) == 0;
		if (!keep && lremovexattr(name, at) != 0 && errno != ENODATA)
			fail(1, "cannot remove %s: %s", at, strerror(errno));
	}
}

static void set_xattrs(const char *name, char *at, const char *end, uint32_t count)
{
	static char kept[MOST_XATTRS][256];
	const char *names[MOST_XATTRS];
	if (count > MOST_XATTRS)
		fail(1, "too many extended attributes");
	for (uint32_t i = 0; i < count; i++) {
		uint32_t lengths[2];
		if ((size_t)(end - at) < sizeof lengths)
			fail(1, "a record is malformed");
		memcpy(lengths, at, sizeof lengths);
		at += sizeof lengths;
		if (lengths[0] >= sizeof kept[i] || (uint64_t)lengths[0] + lengths[1] > (size_t)(end - at))
			fail(1, "a record is malformed");
		memcpy(kept[i], at, lengths[0]);
		kept[i][lengths[0]] = '\0';
		names[i] = kept[i];
		const char *value = at + lengths[0];
		at += lengths[0] + lengths[1];
		if (is_node_bound(kept[i]))
			fail(1, "a record is malformed");
		if (lsetxattr(name, kept[i], value, lengths[1], 0) == 0)
			continue;
		if (errno == EOPNOTSUPP && strcmp(kept[i], "security.selinux") == 0)
			continue;
		fail_full("cannot set %s: %s", kept[i], strerror(errno));
	}
	drop_others(name, names, count);
}

void take_attributes(struct place *place, struct record record)
{
	struct attribute_head head;
	char path[PATH_BYTES];
	if (record.length < sizeof head)
		fail(1, "a record is malformed");
	memcpy(&head, record.payload, sizeof head);
	if (head.path_bytes >= sizeof path || head.path_bytes > record.length - sizeof head)
		fail(1, "a record is malformed");
	memcpy(path, record.payload + sizeof head, head.path_bytes);
	path[head.path_bytes] = '\0';
	const char *name = enter_checked(place, path);
	struct stat stat;
	if (fchdir(place->parent) != 0 || lstat(name, &stat) != 0 || (stat.st_mode & S_IFMT) != (head.mode & S_IFMT))
		fail(1, "/%s is not what it should be", path);
	/* In this order: a change of owner takes set-user-ID and capabilities away, and an access list is part of the mode. */
	const struct timespec times[] = { { .tv_nsec = UTIME_OMIT },
					  { .tv_sec = head.seconds, .tv_nsec = (long)head.nanoseconds } };
	if (fchownat(AT_FDCWD, name, head.uid, head.gid, AT_SYMLINK_NOFOLLOW) != 0 ||
	    (!S_ISLNK(head.mode) && fchmodat(AT_FDCWD, name, head.mode & 07777, 0) != 0))
		fail_full("cannot set the attributes of /%s: %s", path, strerror(errno));
	set_xattrs(name, record.payload + sizeof head + head.path_bytes, record.payload + record.length, head.xattrs);
	if (utimensat(AT_FDCWD, name, times, AT_SYMLINK_NOFOLLOW) != 0)
		fail_full("cannot set the times of /%s: %s", path, strerror(errno));
}
