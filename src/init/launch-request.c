#include "launch-state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arguments.h"
#include "spawn.h"

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
static void take_request(struct launch *launch, const struct secret *secret)
{
	unsigned char *request = launch->request;
	const unsigned char *given = request + LAUNCH_NONCE_BYTES + 4;
	unsigned char *text = request + LAUNCH_HEADER_BYTES;
	uint32_t length = get_be32(request + LAUNCH_NONCE_BYTES);
	unsigned char mac[SHA256_BYTES], accepted[SHA256_BYTES];
	struct sockaddr_in here = { 0 };
	socklen_t size = sizeof here;
	getsockname(launch->socket, (struct sockaddr *)&here, &size);
	launch_request_mac(secret, &here, launch->nonce, request, text, length, mac);
	if (!digest_equal(mac, given)) {
		refuse(launch, "wrong secret");
		return;
	}
	if (memchr(text, 0, length) != NULL) {
		refuse(launch, "the command has a NUL byte");
		return;
	}
	text[length] = '\0';
	launch_accept_mac(secret, mac, accepted);
	start_shell(launch, (const char *)text);
	if (launch->state == RUNNING)
		queue_frame(launch, FRAME_ACCEPTED, accepted, sizeof accepted);
	give_back(request, REQUEST_ROOM);
}

void receive_request(struct launch *launch, const struct secret *secret)
{
	unsigned char *request = launch->request;
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
			take_request(launch, secret);
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
