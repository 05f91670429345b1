#include "upper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../init/arguments.h"

static int open_beneath(int root, const char *path, uint64_t flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
	};
	return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

void place_open(struct place *place, const char *directory)
{
	place->root = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (place->root < 0)
		fail(1, "cannot open %s: %s", directory, strerror(errno));
	place->parent = -1;
}

void place_forget(struct place *place)
{
	if (place->parent >= 0)
		close(place->parent);
	place->parent = -1;
}

const char *place_enter(struct place *place, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = *path == '\0' ? "." : slash == NULL ? path : slash + 1;
	size_t length = slash == NULL ? 0 : (size_t)(slash - path);
	if (length >= sizeof place->directory) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	if (place->parent >= 0 && strlen(place->directory) == length && memcmp(place->directory, path, length) == 0)
		return name;
	place_forget(place);
	memcpy(place->directory, path, length);
	place->directory[length] = '\0';
	place->parent = open_beneath(place->root, length == 0 ? "." : place->directory, O_RDONLY | O_DIRECTORY);
	return place->parent < 0 ? NULL : name;
}

int place_peek(struct place *place, const char *path)
{
	return open_beneath(place->root, path, O_PATH | O_NOFOLLOW);
}
