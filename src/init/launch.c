#include "launch-state.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arguments.h"

static int listener = -1;
static const struct secret *job_secret;
static struct launch launches[LAUNCH_LIMIT];
static unsigned char requests[LAUNCH_LIMIT][REQUEST_ROOM] __attribute__((aligned(PAGE)));
static unsigned char queues[LAUNCH_LIMIT][QUEUE_ROOM] __attribute__((aligned(PAGE)));

void give_back(void *pages, size_t length)
{
	madvise(pages, length, MADV_DONTNEED);
}

int launch_listen(const struct in_addr *address, uint16_t port, const struct secret *secret)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = *address };
	int on = 1;
	job_secret = secret;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listener < 0)
		return -1;
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(listener, (struct sockaddr *)&name, sizeof name) < 0 || listen(listener, 128) < 0)
		return -1;
	return 0;
}

void close_pipe(struct launch *launch, int which)
{
	if (launch->pipes[which] >= 0)
		close(launch->pipes[which]);
	launch->pipes[which] = -1;
	launch->left[which] = 0;
}

void close_launch(struct launch *launch)
{
	close_pipe(launch, 0);
	close_pipe(launch, 1);
	close(launch->socket);
	give_back(launch->request, REQUEST_ROOM);
	give_back(launch->queue, QUEUE_ROOM);
	launch->state = FREE;
}

static void advance(struct launch *launch)
{
	if (launch->deadline_ms != 0 && monotonic_ms() >= launch->deadline_ms) {
		close_launch(launch);
		return;
	}
	if (launch->state == REQUEST)
		receive_request(launch, job_secret);
	if (launch->state == RUNNING || launch->state == ENDED)
		relay(launch);
	if (launch->state == FLUSHING || launch->state == LINGERING)
		finish(launch);
}

static struct launch *free_launch(void)
{
	for (int i = 0; i < LAUNCH_LIMIT; i++)
		if (launches[i].state == FREE)
			return &launches[i];
	return NULL;
}

static void greet(struct launch *launch, int socket)
{
	unsigned char hello[LAUNCH_HELLO_BYTES];
	*launch = (struct launch){ .state = REQUEST,
				   .socket = socket,
				   .pipes = { -1, -1 },
				   .deadline_ms = monotonic_ms() + REQUEST_MS,
				   .request = requests[launch - launches],
				   .queue = queues[launch - launches] };
	memcpy(hello, LAUNCH_MAGIC, LAUNCH_MAGIC_BYTES);
	if (getrandom(launch->nonce, sizeof launch->nonce, 0) != sizeof launch->nonce) {
		close_launch(launch);
		return;
	}
	memcpy(hello + LAUNCH_MAGIC_BYTES, launch->nonce, sizeof launch->nonce);
	/* The send buffer of a new connection holds this much, or the connection is broken. */
	if (send(socket, hello, sizeof hello, MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof hello)
		close_launch(launch);
}

/* Every place is taken: who has not sent a request yet makes room soon. */
static void hurry_clients(void)
{
	int64_t soon_ms = monotonic_ms() + CROWDED_MS;
	for (int i = 0; i < LAUNCH_LIMIT; i++)
		if (launches[i].state == REQUEST && launches[i].deadline_ms > soon_ms)
			launches[i].deadline_ms = soon_ms;
}

void launch_advance(void)
{
	struct launch *launch;
	for (int i = 0; i < LAUNCH_LIMIT; i++)
		if (launches[i].state != FREE)
			advance(&launches[i]);
	while (listener >= 0 && (launch = free_launch()) != NULL) {
		int socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (socket < 0)
			return;
		greet(launch, socket);
	}
	if (listener >= 0)
		hurry_clients();
}

void launch_child_ended(pid_t pid, int exit_code)
{
	for (int i = 0; i < LAUNCH_LIMIT; i++) {
		struct launch *launch = &launches[i];
		if (launch->state != RUNNING || launch->pid != pid)
			continue;
		/* What is in the pipes now is the shell's; what its grandchildren write later is nobody's. */
		for (int which = 0; which < 2; which++) {
			int *left = &launch->left[which];
			if (launch->pipes[which] < 0 || ioctl(launch->pipes[which], FIONREAD, left) < 0 || *left == 0)
				close_pipe(launch, which);
		}
		launch->exit_code = exit_code;
		launch->state = ENDED;
		launch->deadline_ms = monotonic_ms() + FLUSH_MS;
		return;
	}
}

static void poll_for(struct pollfd *polls, int *count, int fd, short events)
{
	polls[(*count)++] = (struct pollfd){ .fd = fd, .events = events };
}

int launch_wait_for(struct pollfd *polls, int *timeout_ms)
{
	int count = 0;
	int64_t now = 0;
	if (listener >= 0 && free_launch() != NULL)
		poll_for(polls, &count, listener, POLLIN);
	for (int i = 0; i < LAUNCH_LIMIT; i++) {
		struct launch *launch = &launches[i];
		if (launch->state == FREE)
			continue;
		poll_for(polls, &count, launch->socket, launch->sent < launch->queued ? POLLIN | POLLOUT : POLLIN);
		for (int which = 0; which < 2; which++)
			if (launch->pipes[which] >= 0 && queue_space(launch) > QUEUE_ROOM / 4)
				poll_for(polls, &count, launch->pipes[which], POLLIN);
		if (launch->deadline_ms == 0)
			continue;
		if (now == 0)
			now = monotonic_ms();
		int64_t left = launch->deadline_ms > now ? launch->deadline_ms - now : 0;
		if (*timeout_ms < 0 || left < *timeout_ms)
			*timeout_ms = (int)left;
	}
	return count;
}

void launch_close(void)
{
	close(listener);
	listener = -1;
	for (int i = 0; i < LAUNCH_LIMIT; i++)
		if (launches[i].state != FREE)
			close_launch(&launches[i]);
}
