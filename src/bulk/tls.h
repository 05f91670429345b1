/* One TLS 1.3 connection with a key that both ends have (RFC 8446, PSK with a fresh exchange). */
#ifndef RANKSHIFT_TLS_H
#define RANKSHIFT_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

enum {
	KEY_BYTES = 32,
	RECORD_BYTES = 16384, /* of TLS 1.3 (RFC 8446, 5.1) */
};

struct tls {
	SSL_CTX *context;
	SSL *ssl;
	int socket;
};

/* Of every connection of this process. */
extern unsigned char tls_key[KEY_BYTES];

/* Over a connected socket. Exits where the other end has not got the key. */
void tls_open(struct tls *tls, int socket, bool server, size_t buffer_bytes);

/* All or exit. What is written leaves when the buffer is full, or with a flush. */
void tls_write(struct tls *tls, const void *bytes, size_t length);
void tls_flush(struct tls *tls);
void tls_read(struct tls *tls, void *bytes, size_t length);

/* Whether a part of what has arrived was not read yet. */
bool tls_pending(const struct tls *tls);

#endif
