#include <stdio.h>
#include <time.h>

#include "arguments.h"
#include "node.h"

static long long now_ns(clockid_t id)
{
	struct timespec now;
	clock_gettime(id, &now);
	return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
}

int clocks(int argc, char **argv)
{
	(void)argv;
	if (argc != 1)
		fail(2, "usage: rankshift-node clock");
	printf("{\"monotonicNs\":\"%lld\",\"realtimeNs\":\"%lld\",\"boottimeNs\":\"%lld\"}\n", now_ns(CLOCK_MONOTONIC),
	       now_ns(CLOCK_REALTIME), now_ns(CLOCK_BOOTTIME));
	return 0;
}
