/*
 * A program for the tests: threads that write at random, map, unmap, move, drop and protect memory, move the break and
 * use deep stacks, while the main thread forks children that do some of it and end or start this program anew. Each
 * checks what it wrote; the first mistake ends it with a message. `stress SECONDS [SEED]`; SIGTERM and SIGUSR1
 * end it earlier.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define WORDS (PAGE / 8)
#define BIG_PAGES 4096
#define AREAS 24
#define AREA_PAGES 64

static volatile int over, asked_to_end;
static uint64_t (*big)[WORDS];

static uint64_t next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static void expect(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "stress: wrong: %s\n", what);
	abort();
}

static void pause_us(long us)
{
	nanosleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
}

/* First word: a value; last word: the same and the page's number. A page of value 0 is all zeros. */
static void write_random_page(uint64_t *state)
{
	uint64_t page = next(state) % BIG_PAGES, value = next(state) % 8 == 0 ? 0 : next(state);
	expect(big[page][0] == 0 ? big[page][WORDS - 1] == 0 : big[page][WORDS - 1] == big[page][0] + page, "big");
	if (value == 0)
		memset(big[page], 0, PAGE);
	big[page][0] = value;
	big[page][WORDS - 1] = value == 0 ? 0 : value + page;
}

struct area {
	unsigned char *at;
	size_t pages;
	unsigned char value[AREA_PAGES]; /* of each page; 0 for a page that was dropped */
};

static void check_area(const struct area *area)
{
	for (size_t i = 0; i < area->pages; i++)
		expect(area->at[i * PAGE] == area->value[i] && area->at[i * PAGE + PAGE - 1] == area->value[i], "area");
}

static void fill_area(struct area *area, size_t from, uint64_t *state)
{
	for (size_t i = from; i < area->pages; i++) {
		area->value[i] = (unsigned char)next(state);
		memset(area->at + i * PAGE, area->value[i], PAGE);
	}
}

static void change_area(struct area *area, uint64_t *state)
{
	size_t page = next(state) % area->pages, pages = 1 + next(state) % AREA_PAGES;
	check_area(area);
	switch (next(state) % 6) {
	case 0: /* drop the rest */
		expect(madvise(area->at + page * PAGE, (area->pages - page) * PAGE, MADV_DONTNEED) == 0, "madvise");
		memset(area->value + page, 0, area->pages - page);
		break;
	case 1: /* another size, at another place if need be */
		area->at = mremap(area->at, area->pages * PAGE, pages * PAGE, MREMAP_MAYMOVE);
		expect(area->at != MAP_FAILED, "mremap");
		if (pages > area->pages)
			memset(area->value + area->pages, 0, pages - area->pages);
		area->pages = pages;
		break;
	case 2: { /* surely another place */
		void *to = mmap(NULL, area->pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		expect(to != MAP_FAILED, "mmap");
		area->at = mremap(area->at, area->pages * PAGE, area->pages * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
		expect(area->at == to, "mremap");
		break;
	}
	case 3: /* unmapped, and something else at the same place */
		expect(mmap(area->at, area->pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			    0) == area->at,
		       "mmap");
		memset(area->value, 0, sizeof area->value);
		if (next(state) % 2)
			fill_area(area, page, state);
		break;
	case 4: /* without access for a while: what is in it must move all the same */
		expect(mprotect(area->at, area->pages * PAGE, PROT_NONE) == 0, "mprotect");
		pause_us((long)(next(state) % 20000));
		expect(mprotect(area->at, area->pages * PAGE, PROT_READ | PROT_WRITE) == 0, "mprotect");
		break;
	default:
		fill_area(area, page, state);
	}
	check_area(area);
}

static void *map_and_unmap(void *argument)
{
	static _Thread_local struct area areas[AREAS];
	uint64_t state = (uintptr_t)argument;
	while (!over) {
		struct area *area = &areas[next(&state) % AREAS];
		if (area->at == NULL) {
			area->pages = 1 + next(&state) % AREA_PAGES;
			area->at = mmap(NULL, area->pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			expect(area->at != MAP_FAILED, "mmap");
			fill_area(area, 0, &state);
		} else if (next(&state) % 4 == 0) {
			check_area(area);
			munmap(area->at, area->pages * PAGE);
			area->at = NULL;
		} else {
			change_area(area, &state);
		}
		pause_us(300);
	}
	return NULL;
}

static void *move_break(void *argument)
{
	uint64_t state = (uintptr_t)argument;
	/* From a page's start on: the C library has used the break before. */
	expect(sbrk((intptr_t)(-(uintptr_t)sbrk(0) & (PAGE - 1))) != (void *)-1, "sbrk");
	while (!over) {
		size_t pages = 1 + next(&state) % 256;
		unsigned char *from = sbrk((intptr_t)pages * PAGE), value = (unsigned char)next(&state);
		if (from == (void *)-1)
			break;
		memset(from, value, pages * PAGE);
		pause_us((long)(next(&state) % 20000));
		for (size_t i = 0; i < pages * PAGE; i += PAGE)
			expect(from[i] == value, "break");
		sbrk(-(intptr_t)pages * PAGE);
	}
	return NULL;
}

static uint64_t deep(int depth, uint64_t value)
{
	volatile uint64_t local[256];
	for (int i = 0; i < 256; i++)
		local[i] = value + (uint64_t)i;
	if (depth % 100 == 0)
		pause_us(100);
	uint64_t below = depth == 0 ? value : deep(depth - 1, value + 1);
	for (int i = 0; i < 256; i++)
		expect(local[i] == value + (uint64_t)i, "stack");
	return below;
}

static void *use_stack(void *argument)
{
	uint64_t state = (uintptr_t)argument;
	while (!over) {
		uint64_t value = next(&state);
		int depth = (int)(value % 1000);
		expect(deep(depth, value) == value + (uint64_t)depth, "stack");
	}
	return NULL;
}

/* A child has the memory that its parent had, writes into it, and ends or starts this program anew. */
static void child(const char *program, uint64_t seed)
{
	uint64_t state = seed, pages = 50 + next(&state) % 400;
	for (uint64_t i = 0; i < BIG_PAGES; i += 7)
		expect(big[i][0] == 0 || big[i][WORDS - 1] == big[i][0] + i, "child");
	for (uint64_t i = 0; i < pages; i++) {
		write_random_page(&state);
		pause_us(1000);
	}
	deep(500, seed);
	if (seed % 4 == 0)
		execl(program, "stress", "1", "1", "childless", (char *)NULL);
	_exit(0);
}

static void ask_to_end(int signal)
{
	(void)signal;
	asked_to_end = 1;
}

int main(int argc, char **argv)
{
	void *(*const work[])(void *) = { map_and_unmap, map_and_unmap, move_break, use_stack };
	enum { THREADS = sizeof work / sizeof *work };
	pthread_t threads[THREADS];
	/* On a busy machine they would pile up. */
	int most_children = argc > 3 ? 0 : 3, children = 0;
	int seconds = argc > 1 ? atoi(argv[1]) : 10, status;
	uint64_t state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	time_t end = time(NULL) + seconds;
	signal(SIGTERM, ask_to_end);
	signal(SIGUSR1, ask_to_end);
	big = mmap(NULL, BIG_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	expect(big != MAP_FAILED, "mmap");
	for (uint64_t i = 0; i < BIG_PAGES / 2; i++) {
		big[i][0] = i + 1;
		big[i][WORDS - 1] = 2 * i + 1;
	}
	/* `big` is the main thread's, which forks: no child gets a page half written. */
	for (int i = 0; i < THREADS; i++)
		expect(pthread_create(&threads[i], NULL, work[i], (void *)(uintptr_t)next(&state)) == 0, "thread");
	printf("ready\n");
	fflush(stdout);
	for (int i = 0; time(NULL) < end && !asked_to_end; i++) {
		for (int j = 0; j < 64; j++)
			write_random_page(&state);
		if (i % 40 == 0 && children < most_children) {
			children++;
			uint64_t seed = next(&state);
			if (fork() == 0)
				child(argv[0], seed);
		}
		for (; waitpid(-1, &status, WNOHANG) > 0; children--)
			expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child");
		pause_us(2000);
	}
	over = 1;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	while (waitpid(-1, &status, 0) > 0)
		expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child");
	printf("good\n");
	return 0;
}
