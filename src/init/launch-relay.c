#include "launch-state.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arguments.h"

uint32_t queue_space(const struct launch *launch)
{
	return QUEUE_ROOM - (launch->queued - launch->sent);
}

/* Makes all free room of the queue contiguous and returns where it begins. */
static unsigned char *queue_end(struct launch *launch)
{
	unsigned char *queue = launch->queue;
	memmove(queue, queue + launch->sent, launch->queued - launch->sent);
	launch->queued -= launch->sent;
	launch->sent = 0;
	return queue + launch->queued;
}

void queue_frame(struct launch *launch, enum launch_frame type, const void *payload, uint32_t length)
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
		ssize_t sent = send(launch->socket, launch->queue + launch->sent, launch->queued - launch->sent,
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

void relay(struct launch *launch)
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
void finish(struct launch *launch)
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
