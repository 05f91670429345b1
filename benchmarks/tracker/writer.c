/*
 * writer MIB PAUSE_NS: writes words at random places of its memory, as fast as it can or with so long a computation between
 * two. Says `ready`; for each line on standard input how often it has written and when, nanoseconds.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static _Atomic uint64_t writes;

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void *answer(void *unused)
{
	char line[16];
	(void)unused;
	while (fgets(line, sizeof line, stdin) != NULL) {
		printf("{\"writes\":%" PRIu64 ",\"ns\":%" PRIu64 "}\n", atomic_load(&writes), now_ns());
		fflush(stdout);
	}
	exit(0);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	size_t words = strtoul(argv[1], NULL, 10) * 1048576 / sizeof(uint64_t);
	uint64_t pause = strtoul(argv[2], NULL, 10), state = 1, sum = 0, count = 0;
	uint64_t *memory =
		mmap(NULL, words * sizeof *memory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return 1;
	memset(memory, 1, words * sizeof *memory);
	pthread_t thread;
	if (pthread_create(&thread, NULL, answer, NULL) != 0)
		return 1;
	puts("ready");
	fflush(stdout);
	for (;;) {
		state ^= state << 13, state ^= state >> 7, state ^= state << 17; /* xorshift64 (Marsaglia 2003) */
		memory[state % words] = state;
		atomic_store_explicit(&writes, ++count, memory_order_relaxed);
		/* A third of a nanosecond each, or so. */
		for (uint64_t i = 0; i < pause * 3; i++)
			__asm__ volatile("" : "+r"(sum));
	}
}
