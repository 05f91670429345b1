#include "stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../init/arguments.h"

enum { KEY_BYTES = 32, SILENCE_MS = 10000 };

static const char identity[] = "rankshift";
static unsigned char key[KEY_BYTES];

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void read_key(void)
{
	char text[2 * KEY_BYTES + 1];
	for (size_t have = 0; have < sizeof text;) {
		ssize_t got = read(0, text + have, sizeof text - have);
		if (got <= 0)
			fail(2, "no key on standard input");
		have += got;
	}
	for (int i = 0; i < KEY_BYTES; i++) {
		int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
		if (high < 0 || low < 0)
			fail(2, "the key is not of hexadecimal digits");
		key[i] = high * 16 + low;
	}
	if (text[2 * KEY_BYTES] != '\n')
		fail(2, "the key has not %d bytes", KEY_BYTES);
}

static unsigned int client_key(SSL *ssl, const char *hint, char *name, unsigned int most_name, unsigned char *psk,
			       unsigned int most)
{
	(void)ssl, (void)hint;
	if (most_name < sizeof identity || most < KEY_BYTES)
		return 0;
	memcpy(name, identity, sizeof identity);
	memcpy(psk, key, KEY_BYTES);
	return KEY_BYTES;
}

static unsigned int server_key(SSL *ssl, const char *name, unsigned char *psk, unsigned int most)
{
	(void)ssl;
	if (strcmp(name, identity) != 0 || most < KEY_BYTES)
		return 0;
	memcpy(psk, key, KEY_BYTES);
	return KEY_BYTES;
}

static _Noreturn void fail_tls(SSL *ssl, int result, const char *what)
{
	char text[256] = "the connection was lost";
	unsigned long code = ERR_get_error();
	if (SSL_get_error(ssl, result) == SSL_ERROR_SSL && code != 0)
		ERR_error_string_n(code, text, sizeof text);
	fail(1, "%s: %s", what, text);
}

void set_socket_options(int socket)
{
	int yes = 1, silence = SILENCE_MS;
	struct timeval limit = {.tv_sec = SILENCE_MS / 1000};
	setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence, sizeof silence);
	setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

void stream_open(struct stream *stream, int socket, int server)
{
	stream->socket = socket;
	SSL_CTX *context = stream->context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1)
		fail(1, "TLS cannot be set up");
	if (server) {
		SSL_CTX_set_psk_server_callback(context, server_key);
		SSL_CTX_set_num_tickets(context, 0);
	} else {
		SSL_CTX_set_psk_client_callback(context, client_key);
	}
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_default_read_buffer_len(context, FRAME_BYTES);
	SSL *ssl = stream->ssl = SSL_new(context);
	BIO *wire = BIO_new_socket(socket, BIO_NOCLOSE), *buffer = BIO_new(BIO_f_buffer());
	if (ssl == NULL || wire == NULL || buffer == NULL || BIO_set_write_buffer_size(buffer, 2 * FRAME_BYTES) != 1)
		fail(1, "TLS cannot be set up");
	BIO_up_ref(wire);
	SSL_set0_rbio(ssl, wire);
	SSL_set0_wbio(ssl, BIO_push(buffer, wire));
	int result = server ? SSL_accept(ssl) : SSL_connect(ssl);
	if (result != 1)
		fail_tls(ssl, result, "no TLS connection with this key");
	/* Without it a server would have let in whoever shows no key: it has no certificate, but be sure. */
	if (SSL_session_reused(ssl) != 1)
		fail(1, "no TLS connection with this key: the key was not used");
	stream_flush(stream);
}

void stream_write(struct stream *stream, const void *bytes, size_t length)
{
	int result = SSL_write(stream->ssl, bytes, (int)length);
	if (result <= 0)
		fail_tls(stream->ssl, result, "sending failed");
}

void stream_flush(struct stream *stream)
{
	if (BIO_flush(SSL_get_wbio(stream->ssl)) != 1)
		fail(1, "sending failed: the connection was lost");
}

void stream_read(struct stream *stream, void *bytes, size_t length)
{
	for (size_t have = 0; have < length;) {
		int result = SSL_read(stream->ssl, (char *)bytes + have, (int)(length - have));
		if (result <= 0)
			fail_tls(stream->ssl, result, "receiving failed");
		have += result;
	}
}

void end_with_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == 1)
		fail(1, "started by nobody");
	signal(SIGPIPE, SIG_IGN);
}

static int connect_to(const char *address, const char *port)
{
	int64_t number;
	struct sockaddr_in to = {.sin_family = AF_INET};
	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		fail(2, "not an IPv4 address: %s", address);
	if (parse_number(port, 1, 65535, &number) != 0)
		fail(2, "not a port: %s", port);
	to.sin_port = htons(number);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	set_socket_options(fd);
	if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
		fail(1, "cannot connect to %s:%s: %s", address, port, strerror(errno));
	return fd;
}

static struct in_addr parse_address(const char *text)
{
	struct in_addr address;
	if (inet_pton(AF_INET, text, &address) != 1)
		fail(2, "not an IPv4 address: %s", text);
	return address;
}

/* Listens on the first free port of LOW-HIGH; prints it. */
static int listen_at(const char *address, const char *low, const char *high)
{
	int64_t from, to;
	if (parse_number(low, 0, 65535, &from) != 0 || parse_number(high, from, 65535, &to) != 0)
		fail(2, "not a range of ports: %s-%s", low, high);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = parse_address(address)};
	socklen_t size = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	for (; from <= to; from++) {
		at.sin_port = htons(from);
		if (bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 4) == 0) {
			getsockname(fd, (struct sockaddr *)&at, &size);
			printf("%d\n", ntohs(at.sin_port));
			fflush(stdout);
			return fd;
		}
		if (errno != EADDRINUSE)
			break;
	}
	fail(1, "no port of %s-%s is free: %s", low, high, strerror(errno));
}

/* The one connection from the source; the agent ends us where it never comes. */
static int accept_from(int listener, struct in_addr source)
{
	for (;;) {
		struct sockaddr_in from;
		socklen_t size = sizeof from;
		struct pollfd wait[2] = {{.fd = listener, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
		if (poll(wait, 2, -1) < 0)
			continue;
		if (wait[1].revents != 0)
			fail(1, "called off");
		int fd = accept4(listener, (struct sockaddr *)&from, &size, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		if (from.sin_addr.s_addr == source.s_addr)
			return fd;
		close(fd);
	}
}

void stream_wait(struct stream *stream)
{
	while (!SSL_has_pending(stream->ssl)) {
		struct pollfd wait[2] = {{.fd = stream->socket, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
		if (poll(wait, 2, -1) < 0)
			continue;
		if (wait[1].revents != 0)
			fail(1, "called off");
		return;
	}
}

void stream_connect(struct stream *stream, const char *address, const char *port)
{
	read_key();
	signal(SIGPIPE, SIG_IGN);
	stream_open(stream, connect_to(address, port), 0);
	if (write(1, "ready\n", 6) != 6)
		fail(1, "nobody listens");
}

void stream_accept(struct stream *stream, const char *address, const char *low, const char *high, const char *source)
{
	struct in_addr from = parse_address(source);
	read_key();
	signal(SIGPIPE, SIG_IGN);
	int listener = listen_at(address, low, high);
	int socket = accept_from(listener, from);
	close(listener);
	set_socket_options(socket);
	stream_open(stream, socket, 1);
}
