/*
 * The launch protocol between rsh (client) and PID 1 of another rank container of the job (server).
 *
 *   server: magic (8), server nonce (32)
 *   client: client nonce (32), length of the text (4, big endian), request MAC (32), the text
 *   server: frames: type (1), length (4, big endian), payload
 *
 * The request MAC is HMAC-SHA256 under the job's secret over a label, the server's address and port, both nonces, the
 * length and the text: it can be neither replayed, nor carried to another container, nor put before another text.
 * The first frame of an accepted request carries the server's own MAC, so that the client knows whose output it relays.
 */
#ifndef RANKSHIFT_PROTOCOL_H
#define RANKSHIFT_PROTOCOL_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "sha256.h"

#define LAUNCH_PORT 7462
#define LAUNCH_SECRET_FILE "/.rankshift/secret"
#define LAUNCH_MAGIC "RSHIFT1\n"
#define LAUNCH_MAGIC_BYTES 8
#define LAUNCH_NONCE_BYTES 32
#define LAUNCH_HELLO_BYTES (LAUNCH_MAGIC_BYTES + LAUNCH_NONCE_BYTES)
#define LAUNCH_HEADER_BYTES (LAUNCH_NONCE_BYTES + 4 + SHA256_BYTES)
/* The longest single argument that Linux passes to a program (MAX_ARG_STRLEN, 128 KiB with its final NUL). */
#define LAUNCH_TEXT_LIMIT (128 * 1024 - 1)
#define LAUNCH_FRAME_HEADER 5
#define LAUNCH_FRAME_LIMIT 16384

enum launch_frame {
	FRAME_ACCEPTED = 'A', /* SHA256_BYTES: the server's MAC */
	FRAME_REFUSED = 'R',  /* text: why */
	FRAME_STDOUT = 'O',
	FRAME_STDERR = 'E',
	FRAME_EXIT = 'X', /* 4 bytes, big endian: exit code, 128 + signal if killed */
};

struct secret {
	unsigned char bytes[512];
	size_t length;
};

/* Reads a secret of 16 to 512 bytes; a final newline is no part of it. On failure -1 and *why. */
int secret_read(struct secret *secret, const char *file, const char **why);

void launch_request_mac(const struct secret *secret, const struct sockaddr_in *server,
			const unsigned char server_nonce[LAUNCH_NONCE_BYTES],
			const unsigned char client_nonce[LAUNCH_NONCE_BYTES], const void *text, uint32_t length,
			unsigned char mac[SHA256_BYTES]);

void launch_accept_mac(const struct secret *secret, const unsigned char request_mac[SHA256_BYTES],
		       unsigned char mac[SHA256_BYTES]);

uint32_t get_be32(const unsigned char *bytes);
void put_be32(unsigned char *bytes, uint32_t value);

#endif
