#include "processes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mappings.h"

static bool read_proc(pid_t pid, const char *name, char *text, size_t size)
{
	int fd = open_proc(pid, name, O_RDONLY);
	if (fd < 0)
		return false;
	ssize_t got = read(fd, text, size - 1);
	close(fd);
	text[got > 0 ? got : 0] = '\0';
	return got > 0;
}

/* State and start of a process or thread: fields 3 and 22 of proc_pid_stat(5), behind a name that may hold anything. */
static bool read_stat(pid_t pid, char *state, uint64_t *started)
{
	char text[1024];
	unsigned long long ticks;
	if (!read_proc(pid, "stat", text, sizeof text))
		return false;
	char *after = strrchr(text, ')');
	if (after == NULL || sscanf(after + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
				    state, &ticks) != 2)
		return false;
	*started = ticks;
	return true;
}

static bool read_process(pid_t pid, struct process *process)
{
	char text[4096], state;
	if (!read_stat(pid, &state, &process->started) || state == 'X')
		return false;
	/* A dead main thread is no dead process: the others may live on, with all the memory. */
	if (state == 'Z' && living_thread(pid) == 0)
		return false;
	if (!read_proc(pid, "status", text, sizeof text))
		return false;
	char *numbers = strstr(text, "\nNSpid:");
	if (numbers == NULL)
		return false;
	numbers[strcspn(numbers + 1, "\n") + 1] = '\0';
	process->pid = pid;
	process->inside = (uint32_t)strtoul(strrchr(numbers, '\t') + 1, NULL, 10);
	return process->inside != 0;
}

pid_t living_thread(pid_t pid)
{
	char path[64], state;
	uint64_t started;
	pid_t found = 0;
	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	DIR *tasks = opendir(path);
	if (tasks == NULL)
		return 0;
	for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
		pid_t thread = atoi(entry->d_name);
		if (thread <= 0 || !read_stat(thread, &state, &started) || strchr("ZX", state) != NULL)
			continue;
		found = thread;
		if (state != 'D')
			break;
	}
	closedir(tasks);
	return found;
}

int each_process(const char *cgroup, void (*found)(const struct process *process, void *context), void *context)
{
	char path[PATH_MAX];
	struct process process;
	int pid;
	snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
	FILE *list = fopen(path, "re");
	if (list == NULL)
		return -1;
	while (fscanf(list, "%d", &pid) == 1)
		if (read_process(pid, &process))
			found(&process, context);
	fclose(list);
	DIR *directory = opendir(cgroup);
	if (directory == NULL)
		return -1;
	for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		/* Shells (src/agent/shells.ts) do not move: nothing of them is looked at. */
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.' || strncmp(entry->d_name, "shell-", 6) == 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", cgroup, entry->d_name);
		if (each_process(path, found, context) < 0 && errno != ENOENT && errno != ENODEV) {
			closedir(directory);
			return -1;
		}
	}
	closedir(directory);
	return 0;
}
