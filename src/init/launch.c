#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arguments.h"
#include "spawn.h"

#define PAGE 4096
#define REQUEST_ROOM ((LAUNCH_HEADER_BYTES + LAUNCH_TEXT_LIMIT + 1 + PAGE - 1) / PAGE * PAGE)
#define QUEUE_ROOM (4 * PAGE)
#define REQUEST_MS 10000 /* a client must have authenticated by then */
#define FLUSH_MS 10000   /* a client must take the rest of the output by then, once the shell has ended */
#define LINGER_MS 2000   /* a client must hang up by then, once it has everything */

enum state { FREE, REQUEST, RUNNING, ENDED, FLUSHING, LINGERING };

struct launch {
	enum state state;
	int socket;
	int pipes[2];   /* the shell's stdout and stderr, -1 once closed */
	int left[2];    /* once the shell has ended: bytes of each pipe that are still to be relayed */
	pid_t pid;
	int exit_code;
	int64_t deadline_ms; /* 0: none */
	uint32_t received;
	uint32_t queued, sent; /* the queue holds bytes [sent, queued) */
	unsigned char nonce[LAUNCH_NONCE_BYTES];
};

static int listener = -1;
static const struct secret *job_secret;
static struct launch launches[LAUNCH_LIMIT];
/* On pages of their own: they go back to the kernel after use, so that a checkpoint of PID 1 does not carry them. */
static unsigned char requests[LAUNCH_LIMIT][REQUEST_ROOM] __attribute__((aligned(PAGE)));
static unsigned char queues[LAUNCH_LIMIT][QUEUE_ROOM] __attribute__((aligned(PAGE)));

static unsigned char *request_of(const struct launch *launch)
{
	return requests[launch - launches];
}

static unsigned char *queue_of(const struct launch *launch)
{
	return queues[launch - launches];
}

static void give_back(void *pages, size_t length)
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

static void close_pipe(struct launch *launch, int which)
{
	if (launch->pipes[which] >= 0)
		close(launch->pipes[which]);
	launch->pipes[which] = -1;
	launch->left[which] = 0;
}

static void close_launch(struct launch *launch)
{
	close_pipe(launch, 0);
	close_pipe(launch, 1);
	close(launch->socket);
	give_back(request_of(launch), REQUEST_ROOM);
	give_back(queue_of(launch), QUEUE_ROOM);
	launch->state = FREE;
}

static uint32_t queue_space(const struct launch *launch)
{
	return QUEUE_ROOM - (launch->queued - launch->sent);
}

/* Makes all free room of the queue contiguous and returns where it begins. */
static unsigned char *queue_end(struct launch *launch)
{
	unsigned char *queue = queue_of(launch);
	memmove(queue, queue + launch->sent, launch->queued - launch->sent);
	launch->queued -= launch->sent;
	launch->sent = 0;
	return queue + launch->queued;
}

static void queue_frame(struct launch *launch, enum launch_frame type, const void *payload, uint32_t length)
{
	unsigned char *end = queue_end(launch);
	end[0] = (unsigned char)type;
	put_be32(end + 1, length);
	memcpy(end + LAUNCH_FRAME_HEADER, payload, length);
	launch->queued += LAUNCH_FRAME_HEADER + length;
}

/* Sends what the client takes. -1 if the client is gone. */
static int flush_queue(struct launch *launch)
{
	while (launch->sent < launch->queued) {
		ssize_t sent = send(launch->socket, queue_of(launch) + launch->sent, launch->queued - launch->sent,
				    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		launch->sent += (uint32_t)sent;
		if (launch->state != RUNNING)
			launch->deadline_ms = monotonic_ms() + FLUSH_MS;
	}
	return 0;
}

/* Takes and drops whatever a client sends after its request. -1 if it hung up. */
static int client_gone(struct launch *launch)
{
	unsigned char dropped[4096];
	ssize_t got = recv(launch->socket, dropped, sizeof dropped, MSG_DONTWAIT);
	return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR) ? -1 : 0;
}

static void refuse(struct launch *launch, const char *why)
{
	queue_frame(launch, FRAME_REFUSED, why, (uint32_t)strlen(why));
	launch->state = FLUSHING;
	launch->deadline_ms = monotonic_ms() + FLUSH_MS;
}

static void start_shell(struct launch *launch, const char *text)
{
	int out[2], err[2];
	if (pipe2(out, O_CLOEXEC) < 0) {
		refuse(launch, "no pipe for the command's output");
		return;
	}
	if (pipe2(err, O_CLOEXEC) < 0) {
		close(out[0]);
		close(out[1]);
		refuse(launch, "no pipe for the command's output");
		return;
	}
	launch->pid = spawn_shell(text, out[1], err[1]);
	close(out[1]);
	close(err[1]);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	fcntl(err[0], F_SETFL, O_NONBLOCK);
	launch->pipes[0] = out[0];
	launch->pipes[1] = err[0];
	if (launch->pid < 0) {
		close_pipe(launch, 0);
		close_pipe(launch, 1);
		refuse(launch, "no process for the command");
		return;
	}
	launch->state = RUNNING;
	launch->deadline_ms = 0;
}

/* The whole request is here: check it, start it. */
static void take_request(struct launch *launch)
{
	unsigned char *request = request_of(launch);
	const unsigned char *given = request + LAUNCH_NONCE_BYTES + 4;
	unsigned char *text = request + LAUNCH_HEADER_BYTES;
	uint32_t length = get_be32(request + LAUNCH_NONCE_BYTES);
	unsigned char mac[SHA256_BYTES], accepted[SHA256_BYTES];
	struct sockaddr_in here = { 0 };
	socklen_t size = sizeof here;
	getsockname(launch->socket, (struct sockaddr *)&here, &size);
	launch_request_mac(job_secret, &here, launch->nonce, request, text, length, mac);
	if (!digest_equal(mac, given)) {
		refuse(launch, "wrong secret");
		return;
	}
	if (memchr(text, 0, length) != NULL) {
		refuse(launch, "the command has a NUL byte");
		return;
	}
	text[length] = '\0';
	launch_accept_mac(job_secret, mac, accepted);
	start_shell(launch, (const char *)text);
	if (launch->state == RUNNING)
		queue_frame(launch, FRAME_ACCEPTED, accepted, sizeof accepted);
	give_back(request, REQUEST_ROOM);
}

static void receive_request(struct launch *launch)
{
	unsigned char *request = request_of(launch);
	for (;;) {
		uint32_t wanted = LAUNCH_HEADER_BYTES;
		if (launch->received >= LAUNCH_HEADER_BYTES) {
			uint32_t length = get_be32(request + LAUNCH_NONCE_BYTES);
			if (length == 0 || length > LAUNCH_TEXT_LIMIT) {
				refuse(launch, length == 0 ? "the command is empty" : "the command is too long");
				return;
			}
			wanted += length;
		}
		if (launch->received == wanted) {
			take_request(launch);
			return;
		}
		ssize_t got = recv(launch->socket, request + launch->received, wanted - launch->received, MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0) {
			close_launch(launch);
			return;
		}
		launch->received += (uint32_t)got;
	}
}

/* Moves output from one pipe to the queue, as much as both allow. */
static void relay_pipe(struct launch *launch, int which)
{
	while (launch->pipes[which] >= 0 && queue_space(launch) > QUEUE_ROOM / 4) {
		unsigned char *end = queue_end(launch);
		size_t room = queue_space(launch) - LAUNCH_FRAME_HEADER;
		if (launch->state == ENDED && (size_t)launch->left[which] < room)
			room = (size_t)launch->left[which];
		ssize_t got = read(launch->pipes[which], end + LAUNCH_FRAME_HEADER, room);
		if (got < 0 && (errno == EAGAIN || errno == EINTR) && launch->state == RUNNING)
			return;
		if (got <= 0) {
			close_pipe(launch, which);
			return;
		}
		end[0] = which == 0 ? FRAME_STDOUT : FRAME_STDERR;
		put_be32(end + 1, (uint32_t)got);
		launch->queued += LAUNCH_FRAME_HEADER + (uint32_t)got;
		if (launch->state == ENDED && (launch->left[which] -= (int)got) == 0)
			close_pipe(launch, which);
	}
}

static void relay(struct launch *launch)
{
	relay_pipe(launch, 0);
	relay_pipe(launch, 1);
	if (flush_queue(launch) < 0 || client_gone(launch) < 0) {
		/* As a terminal that hangs up: whatever is to outlive its client leaves the group or ignores SIGHUP. */
		if (launch->state == RUNNING)
			kill(-launch->pid, SIGHUP);
		close_launch(launch);
		return;
	}
	if (launch->state == ENDED && launch->pipes[0] < 0 && launch->pipes[1] < 0 && queue_space(launch) > 64) {
		unsigned char code[4];
		put_be32(code, (uint32_t)launch->exit_code);
		queue_frame(launch, FRAME_EXIT, code, sizeof code);
		launch->state = FLUSHING;
	}
}

/* The last frame goes out, then the client hangs up first: closing before it has read would reset the connection. */
static void finish(struct launch *launch)
{
	if (launch->state == FLUSHING) {
		if (flush_queue(launch) < 0) {
			close_launch(launch);
			return;
		}
		if (launch->sent < launch->queued)
			return;
		shutdown(launch->socket, SHUT_WR);
		launch->state = LINGERING;
		launch->deadline_ms = monotonic_ms() + LINGER_MS;
	}
	if (client_gone(launch) < 0)
		close_launch(launch);
}

static void advance(struct launch *launch)
{
	if (launch->deadline_ms != 0 && monotonic_ms() >= launch->deadline_ms) {
		close_launch(launch);
		return;
	}
	if (launch->state == REQUEST)
		receive_request(launch);
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
	memset(launch, 0, sizeof *launch);
	launch->socket = socket;
	launch->pipes[0] = launch->pipes[1] = -1;
	launch->state = REQUEST;
	launch->deadline_ms = monotonic_ms() + REQUEST_MS;
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
