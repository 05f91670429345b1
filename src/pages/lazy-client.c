/*
 * For the tests of `serve`: plays CRIU and the process that it restores. `make DIR` fills a store for process 7;
 * `run WORK_DIR early|late` connects, hands over a userfaultfd and uses the memory before or after the restore is said
 * to be finished: reads at random, drops, unmaps and moves parts, forks. The first wrong page ends it with a message.
 * `hold` has the same memory itself, to be sent from there; `run` is then told which process that was.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ULL
#define WORDS (PAGE / 8)
#define BASE ((uint64_t (*)[WORDS])0x100000000000)
#define PAGES 8192ULL
#define PART 512 /* pages that are dropped, unmapped, moved, there before */
#define PROCESS 7

static void need(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "lazy-client: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* What page `page` holds: every fifth nothing. */
static uint64_t word(uint64_t page, uint64_t index)
{
	return page % 5 == 0 ? 0 : page * 0x9e3779b97f4a7c15 + index;
}

static void expect(uint64_t (*at)[WORDS], uint64_t page, const char *what)
{
	for (uint64_t i = 0; i < WORDS; i += 73) {
		if ((*at)[i] == word(page, i))
			continue;
		fprintf(stderr, "lazy-client: %s: page %llu is wrong\n", what, (unsigned long long)page);
		exit(1);
	}
}

static int make(const char *directory)
{
	char path[4096];
	uint64_t page[WORDS];
	snprintf(path, sizeof path, "%s/pages-%d", directory, PROCESS);
	int pages = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	snprintf(path, sizeof path, "%s/keep-%d", directory, PROCESS);
	int keep = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	need(pages >= 0 && keep >= 0, "open");
	for (uint64_t i = 0; i < PAGES; i++) {
		for (uint64_t j = 0; j < WORDS; j++)
			page[j] = word(i, j);
		if (i % 5 != 0)
			need(pwrite(pages, page, PAGE, (off_t)(uintptr_t)BASE[i]) == PAGE, "write");
	}
	/* In two ranges, as if there had been two mappings. */
	uint64_t ranges[2][2] = { { (uintptr_t)BASE, (uintptr_t)BASE[1000] }, { (uintptr_t)BASE[1000], (uintptr_t)BASE[PAGES] } };
	need(write(keep, ranges, sizeof ranges) == sizeof ranges, "write");
	return 0;
}

static _Noreturn void hold(void)
{
	need(mmap(BASE, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == BASE,
	     "mmap");
	for (uint64_t i = 0; i < PAGES; i++)
		for (uint64_t j = 0; i % 5 != 0 && j < WORDS; j++)
			BASE[i][j] = word(i, j);
	printf("%d\n", (int)getpid());
	fflush(stdout);
	for (;;)
		pause();
}

static int open_lazily(void)
{
	struct uffdio_api api = { .api = UFFD_API,
				  .features = UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_UNMAP |
					      UFFD_FEATURE_EVENT_REMOVE };
	struct uffdio_register lazily = { .range = { (uintptr_t)BASE, PAGES * PAGE }, .mode = UFFDIO_REGISTER_MODE_MISSING };
	need(mmap(BASE, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == BASE,
	     "mmap");
	/* Not lazy ones among them: what is there stays. */
	for (uint64_t i = 0; i < PART; i += 7)
		memset(BASE[i], 0x77, PAGE);
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	need(fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0 && ioctl(fd, UFFDIO_REGISTER, &lazily) == 0, "userfaultfd");
	return fd;
}

static void send_number(int to, int32_t number)
{
	need(send(to, &number, sizeof number, 0) == sizeof number, "send");
}

static int connect_to(const char *directory, int userfaultfd, int process)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec piece = { &byte, 1 };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	snprintf(address.sun_path, sizeof address.sun_path, "%s/lazy-pages.socket", directory);
	int to = socket(AF_UNIX, SOCK_STREAM, 0);
	need(connect(to, (struct sockaddr *)&address, sizeof address) == 0, "connect");
	send_number(to, -9); /* a zombie */
	send_number(to, process);
	*header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(header), &userfaultfd, sizeof userfaultfd);
	need(sendmsg(to, &message, 0) == 1, "sendmsg");
	close(userfaultfd);
	return to;
}

static void *read_at_random(void *argument)
{
	unsigned seed = (unsigned)(uintptr_t)argument;
	for (int i = 0; i < 3000; i++) {
		uint64_t page = 4 * PART + (uint64_t)rand_r(&seed) % (PAGES - 5 * PART);
		expect(&BASE[page], page, "read");
	}
	return NULL;
}

/* A child made while pages are missing has them all, whatever its parent does; it writes, and its parent does not see. */
static void fork_and_use(void)
{
	pid_t child = fork();
	if (child == 0) {
		for (uint64_t page = PAGES - PART; page < PAGES; page++) {
			expect(&BASE[page], page, "child");
			memset(BASE[page], 1, PAGE);
		}
		need(munmap(BASE[4 * PART], 64 * PAGE) == 0, "munmap");
		_exit(0);
	}
	need(madvise(BASE[PAGES - 16], 8 * PAGE, MADV_DONTNEED) == 0, "madvise");
	int status;
	need(waitpid(child, &status, 0) == child && status == 0, "child");
}

static void use(void)
{
	pthread_t threads[3];
	uint64_t (*to)[WORDS] = BASE + 2 * PAGES;
	for (uintptr_t i = 0; i < 3; i++)
		need(pthread_create(&threads[i], NULL, read_at_random, (void *)(i + 1)) == 0, "thread");
	need(madvise(BASE[PART], PART * PAGE, MADV_DONTNEED) == 0, "madvise");
	need(munmap(BASE[2 * PART], PART * PAGE) == 0, "munmap");
	need(mremap(BASE[3 * PART], PART * PAGE, PART * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to, "mremap");
	fork_and_use();
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	for (uint64_t i = 0; i < PART; i++) {
		expect(&to[i], 3 * PART + i, "moved");
		need(BASE[PART + i][9] == 0, "dropped");
	}
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "make") == 0)
		return make(argv[2]);
	if (argc == 2 && strcmp(argv[1], "hold") == 0)
		hold();
	need((argc == 4 || argc == 5) && strcmp(argv[1], "run") == 0, "usage");
	int to = connect_to(argv[2], open_lazily(), argc == 5 ? atoi(argv[4]) : PROCESS);
	if (strcmp(argv[3], "early") == 0)
		use();
	send_number(to, 0x52535446);
	close(to);
	if (strcmp(argv[3], "late") == 0)
		use();
	for (uint64_t page = 4 * PART; page < PAGES - PART; page++)
		expect(&BASE[page], page, "end");
	for (uint64_t page = 0; page < PART; page++)
		if (page % 7 != 0)
			expect(&BASE[page], page, "end");
		else
			need(BASE[page][5] == 0x7777777777777777, "there before");
	printf("good\n");
	return 0;
}
