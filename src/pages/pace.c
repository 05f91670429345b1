#include "pace.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../init/arguments.h"

/* A time further ahead than this was left by a far lower limit. */
#define FURTHEST_NS (600 * 1000000000LL)

static uint64_t own_rate, own_bytes, node_rate;
static int64_t own_since;
static bool node_holds;
static _Atomic int64_t *node_paid;

void set_pace(uint64_t bytes_per_second, bool with_node)
{
	own_rate = bytes_per_second;
	own_bytes = 0;
	own_since = monotonic_ns();
	node_holds = with_node && node_paid != NULL;
}

void share_node_limit(const char *file, uint64_t bytes_per_second)
{
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || ftruncate(fd, sizeof *node_paid) != 0)
		fail(1, "%s: %s", file, strerror(errno));
	void *memory = mmap(NULL, sizeof *node_paid, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		fail(1, "%s: %s", file, strerror(errno));
	close(fd);
	node_paid = memory;
	node_rate = bytes_per_second;
}

static void sleep_until(int64_t when_ns)
{
	for (;;) {
		int64_t ahead_ms = (when_ns - monotonic_ns()) / 1000000;
		if (ahead_ms <= 0)
			return;
		struct pollfd agent = { .fd = 0 };
		poll(&agent, 1, ahead_ms < 100 ? (int)ahead_ms : 100);
		if (agent.revents & (POLLHUP | POLLERR))
			fail(1, "the agent has gone");
	}
}

/* Whoever sends pays in turn: the time is moved on by what the bytes take, and waited for. */
static int64_t pay(uint64_t bytes)
{
	int64_t cost = (int64_t)((double)bytes * 1e9 / (double)node_rate);
	int64_t paid = atomic_load(node_paid), now = monotonic_ns(), then;
	do
		then = (paid < now || paid > now + FURTHEST_NS ? now : paid) + cost;
	while (!atomic_compare_exchange_weak(node_paid, &paid, then));
	return then;
}

void keep_pace(uint64_t bytes)
{
	own_bytes += bytes;
	if (own_rate > 0)
		sleep_until(own_since + (int64_t)((double)own_bytes * 1e9 / (double)own_rate));
	if (node_holds)
		sleep_until(pay(bytes));
}
