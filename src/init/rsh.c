#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "arguments.h"
#include "pid1.h"
#include "protocol.h"

#define CONNECT_MS 10000 /* the other container may still be starting */
#define ATTEMPT_MS 2000
#define PAUSE_MS 100
#define ANSWER_MS 10000 /* as long as the server waits for the request */
#define TRANSPORT_FAILURE 255

static struct secret secret;
static char text[LAUNCH_TEXT_LIMIT + 2];

/* The options of ssh that take a value as the next word: the launchers know that program. */
static int takes_value(const char *option)
{
	return strlen(option) == 2 && strchr("BbcDEeFIiJLlmOoPpQRSWw", option[1]) != NULL;
}

/* Joins the words by spaces, as ssh does. */
static uint32_t join(char **words)
{
	size_t length = 0;
	for (; *words != NULL; words++) {
		size_t word = strlen(*words);
		if (length + word + 1 > LAUNCH_TEXT_LIMIT)
			fail(TRANSPORT_FAILURE, "the command is longer than %d bytes", LAUNCH_TEXT_LIMIT);
		if (length > 0)
			text[length++] = ' ';
		memcpy(text + length, *words, word);
		length += word;
	}
	return (uint32_t)length;
}

/* The address of a name: a literal, or /etc/hosts. No DNS: inside a job there is none, and waiting for it costs. */
static int resolve(const char *host, struct in_addr *address)
{
	char line[4096];
	if (inet_pton(AF_INET, host, address) == 1)
		return 0;
	FILE *hosts = fopen("/etc/hosts", "re");
	if (hosts == NULL)
		return -1;
	while (fgets(line, sizeof line, hosts) != NULL) {
		char *rest;
		line[strcspn(line, "#\n")] = '\0';
		char *number = strtok_r(line, " \t", &rest);
		if (number == NULL || inet_pton(AF_INET, number, address) != 1)
			continue;
		for (char *name; (name = strtok_r(NULL, " \t", &rest)) != NULL;) {
			if (strcasecmp(name, host) == 0) {
				fclose(hosts);
				return 0;
			}
		}
	}
	fclose(hosts);
	return -1;
}

static int wait_for(int fd, short events, int64_t deadline_ms)
{
	for (;;) {
		int64_t left = deadline_ms - monotonic_ms();
		struct pollfd ready = { .fd = fd, .events = events };
		int count = poll(&ready, 1, left > 0 ? (int)left : 0);
		if (count > 0)
			return 0;
		if (count == 0 || errno != EINTR) {
			errno = count == 0 ? ETIMEDOUT : errno;
			return -1;
		}
	}
}

/* Receives exactly length bytes. deadline_ms 0: however long it takes. -1 and errno (0: the other end hung up). */
static int receive(int fd, void *bytes, size_t length, int64_t deadline_ms)
{
	for (size_t done = 0; done < length;) {
		if (deadline_ms != 0 && wait_for(fd, POLLIN, deadline_ms) < 0)
			return -1;
		ssize_t got = recv(fd, (char *)bytes + done, length - done, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			errno = 0;
		if (got <= 0)
			return -1;
		done += (size_t)got;
	}
	return 0;
}

static int send_all(int fd, const void *bytes, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t sent = send(fd, (const char *)bytes + done, length - done, MSG_NOSIGNAL);
		if (sent < 0 && errno != EINTR)
			return -1;
		done += sent > 0 ? (size_t)sent : 0;
	}
	return 0;
}

/* One attempt: connected and greeted. -1 and errno. */
static int try_connect(const struct sockaddr_in *server, unsigned char hello[LAUNCH_HELLO_BYTES], int64_t deadline_ms)
{
	int error = 0;
	socklen_t size = sizeof error;
	int64_t attempt_ms = monotonic_ms() + ATTEMPT_MS;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)server, sizeof *server) < 0 && errno != EINPROGRESS)
		error = errno;
	else if (wait_for(fd, POLLOUT, attempt_ms < deadline_ms ? attempt_ms : deadline_ms) < 0)
		error = errno;
	else
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error == 0) {
		int flags = fcntl(fd, F_GETFL);
		fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
		if (receive(fd, hello, LAUNCH_HELLO_BYTES, deadline_ms) == 0)
			return fd;
		error = errno != 0 ? errno : ECONNRESET;
	}
	close(fd);
	errno = error;
	return -1;
}

static int connect_to(const char *host, const struct sockaddr_in *server, unsigned char hello[LAUNCH_HELLO_BYTES])
{
	int64_t deadline_ms = monotonic_ms() + CONNECT_MS;
	for (;;) {
		int fd = try_connect(server, hello, deadline_ms);
		if (fd >= 0)
			return fd;
		if (monotonic_ms() + PAUSE_MS >= deadline_ms)
			fail(TRANSPORT_FAILURE, "cannot reach %s port %d within %d s: %s", host, ntohs(server->sin_port),
			     CONNECT_MS / 1000, strerror(errno));
		nanosleep(&(struct timespec){ .tv_nsec = PAUSE_MS * 1000000L }, NULL);
	}
}

static _Noreturn void lost(const char *host)
{
	fail(TRANSPORT_FAILURE, "connection to %s lost: %s", host, errno == 0 ? "it hung up" : strerror(errno));
}

static void write_out(int fd, const unsigned char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t written = write(fd, bytes, length);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0) /* our reader is gone; the command's exit code still matters */
			return;
		bytes += written;
		length -= (size_t)written;
	}
}

/* Sends the request and computes what an accepting server will answer. */
static void request(int fd, const struct sockaddr_in *server, const unsigned char *server_nonce, uint32_t length,
		    unsigned char expected[SHA256_BYTES])
{
	unsigned char header[LAUNCH_HEADER_BYTES];
	unsigned char *mac = header + LAUNCH_NONCE_BYTES + 4;
	if (getrandom(header, LAUNCH_NONCE_BYTES, 0) != LAUNCH_NONCE_BYTES)
		fail(TRANSPORT_FAILURE, "no random numbers: %s", strerror(errno));
	put_be32(header + LAUNCH_NONCE_BYTES, length);
	launch_request_mac(&secret, server, server_nonce, header, text, length, mac);
	launch_accept_mac(&secret, mac, expected);
	/* A refusal may come before everything is sent: its reason is read then, so a failed send is no error yet. */
	if (send_all(fd, header, sizeof header) == 0)
		(void)send_all(fd, text, length);
}

static int relay_output(int fd, const char *host, const unsigned char expected[SHA256_BYTES])
{
	static unsigned char payload[LAUNCH_FRAME_LIMIT];
	int64_t deadline_ms = monotonic_ms() + ANSWER_MS;
	for (int accepted = 0;;) {
		unsigned char header[LAUNCH_FRAME_HEADER];
		if (receive(fd, header, sizeof header, deadline_ms) < 0)
			lost(host);
		uint32_t length = get_be32(header + 1);
		if (length > sizeof payload)
			fail(TRANSPORT_FAILURE, "%s sent what is no answer", host);
		if (receive(fd, payload, length, deadline_ms) < 0)
			lost(host);
		if (header[0] == FRAME_REFUSED)
			fail(TRANSPORT_FAILURE, "%s refused the command: %.*s", host, (int)length, (char *)payload);
		if (!accepted) {
			if (header[0] != FRAME_ACCEPTED || length != SHA256_BYTES || !digest_equal(payload, expected))
				fail(TRANSPORT_FAILURE, "%s does not know the job's secret", host);
			accepted = 1;
			deadline_ms = 0;
		} else if (header[0] == FRAME_STDOUT) {
			write_out(1, payload, length);
		} else if (header[0] == FRAME_STDERR) {
			write_out(2, payload, length);
		} else if (header[0] == FRAME_EXIT && length == 4) {
			return (int)(get_be32(payload) & 0xff);
		} else {
			fail(TRANSPORT_FAILURE, "%s sent what is no answer", host);
		}
	}
}

int rsh(int argc, char **argv)
{
	const char *port_text = getenv("RANKSHIFT_RSH_PORT"), *file = getenv("RANKSHIFT_SECRET_FILE"), *why;
	struct sockaddr_in server = { .sin_family = AF_INET };
	unsigned char hello[LAUNCH_HELLO_BYTES], expected[SHA256_BYTES];
	int64_t port = LAUNCH_PORT;
	int i = 1;
	while (i < argc && argv[i][0] == '-')
		i += takes_value(argv[i]) ? 2 : 1;
	if (i + 1 >= argc)
		fail(2, "no %s\nusage: rsh [OPTIONS OF SSH, ignored] HOST COMMAND WORDS...", i >= argc ? "host" : "command");
	const char *at = strrchr(argv[i], '@');
	const char *host = at != NULL ? at + 1 : argv[i];
	if (port_text != NULL && parse_number(port_text, 1, 65535, &port) < 0)
		fail(2, "RANKSHIFT_RSH_PORT is not a port: %s", port_text);
	if (file == NULL)
		file = LAUNCH_SECRET_FILE;
	if (secret_read(&secret, file, &why) < 0)
		fail(TRANSPORT_FAILURE, "cannot use the secret %s: %s", file, why);
	uint32_t length = join(&argv[i + 1]);
	if (resolve(host, &server.sin_addr) < 0)
		fail(TRANSPORT_FAILURE, "%s is no IPv4 address and not in /etc/hosts", host);
	server.sin_port = htons((uint16_t)port);
	int fd = connect_to(host, &server, hello);
	if (memcmp(hello, LAUNCH_MAGIC, LAUNCH_MAGIC_BYTES) != 0)
		fail(TRANSPORT_FAILURE, "%s port %d is no rank container", host, (int)port);
	request(fd, &server, hello + LAUNCH_MAGIC_BYTES, length, expected);
	return relay_output(fd, host, expected);
}
