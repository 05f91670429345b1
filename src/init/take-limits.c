#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "enter.h"

static rlim_t value(const char *text)
{
	return strcmp(text, "unlimited") == 0 ? RLIM_INFINITY : (rlim_t)strtoull(text, NULL, 10);
}

/* Out of /proc/PID/limits: prlimit(2) on another user's process needs CAP_SYS_RESOURCE, even to read. */
void take_limits(pid_t pid)
{
	static const struct {
		const char *name;
		int resource;
	} kinds[] = {
		{ "Max open files", RLIMIT_NOFILE },	   { "Max locked memory", RLIMIT_MEMLOCK },
		{ "Max core file size", RLIMIT_CORE },	   { "Max processes", RLIMIT_NPROC },
		{ "Max stack size", RLIMIT_STACK },	   { "Max address space", RLIMIT_AS },
		{ "Max nice priority", RLIMIT_NICE },	   { "Max realtime priority", RLIMIT_RTPRIO },
		{ "Max pending signals", RLIMIT_SIGPENDING },
	};
	char file[64], line[256], soft[32], hard[32];
	snprintf(file, sizeof file, "/proc/%d/limits", pid);
	FILE *limits = fopen(file, "re");
	if (limits == NULL)
		return;
	while (fgets(line, sizeof line, limits) != NULL) {
		for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
			size_t length = strlen(kinds[i].name);
			if (strncmp(line, kinds[i].name, length) != 0 || line[length] != ' ')
				continue;
			if (sscanf(line + length, "%31s %31s", soft, hard) == 2)
				setrlimit(kinds[i].resource, &(struct rlimit){ value(soft), value(hard) });
		}
	}
	fclose(limits);
}
