#include "tmpfs.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../init/arguments.h"


/* What is not for us, and what another release packed. */
static _Noreturn void exec_tar(char **argv)
{
	static const char *const places[] = { "/usr/bin/tar", "/bin/tar" };
	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		execv(places[i], argv);
	fail(1, "cannot start tar: %s", strerror(errno));
}

/* True where our own stream lies at the input, which is then behind its magic; else the input is where it was. */
static bool is_ours(void)
{
	char magic[MAGIC_BYTES];
	off_t at = lseek(STDIN_FILENO, 0, SEEK_CUR);
	size_t got = 0;
	while (got < sizeof magic) {
		ssize_t part = read(STDIN_FILENO, magic + got, sizeof magic - got);
		if (part < 0 && errno == EINTR)
			continue;
		if (part <= 0)
			break;
		got += (size_t)part;
	}
	if (got == sizeof magic && memcmp(magic, MAGIC, sizeof magic) == 0)
		return true;
	if (at < 0 || lseek(STDIN_FILENO, at, SEEK_SET) < 0)
		fail(1, "the content is none of ours, and cannot be read again");
	return false;
}

int main(int argc, char **argv)
{
	bool create = false, extract = false;
	const char *directory = NULL;
	struct rlimit files;
	program_name = "rankshift tar";
	for (int i = 1; i < argc; i++) {
		create = create || strcmp(argv[i], "--create") == 0;
		extract = extract || strcmp(argv[i], "--extract") == 0;
		if (strcmp(argv[i], "--directory") == 0 && i + 1 < argc)
			directory = argv[i + 1];
	}
	if (directory == NULL || create == extract)
		exec_tar(argv);
	umask(0);
	if (create) {
		pack(directory);
		return 0;
	}
	if (!is_ours())
		exec_tar(argv);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	unpack(directory);
	return 0;
}
