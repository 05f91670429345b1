#include "protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int secret_read(struct secret *secret, const char *file, const char **why)
{
	unsigned char bytes[sizeof secret->bytes + 2];
	size_t length = 0;
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		*why = strerror(errno);
		return -1;
	}
	for (;;) {
		ssize_t got = read(fd, bytes + length, sizeof bytes - length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			*why = strerror(errno);
			close(fd);
			return -1;
		}
		if (got == 0)
			break;
		length += (size_t)got;
		if (length == sizeof bytes)
			break;
	}
	close(fd);
	if (length > 0 && bytes[length - 1] == '\n')
		length--;
	if (length < 16 || length > sizeof secret->bytes) {
		*why = "a secret has 16 to 512 bytes";
		return -1;
	}
	memcpy(secret->bytes, bytes, length);
	secret->length = length;
	return 0;
}

void launch_request_mac(const struct secret *secret, const struct sockaddr_in *server,
			const unsigned char server_nonce[LAUNCH_NONCE_BYTES],
			const unsigned char client_nonce[LAUNCH_NONCE_BYTES], const void *text, uint32_t length,
			unsigned char mac[SHA256_BYTES])
{
	static const char label[] = "rankshift launch request 1";
	unsigned char size[4];
	struct hmac hmac;
	put_be32(size, length);
	hmac_begin(&hmac, secret->bytes, secret->length);
	hmac_add(&hmac, label, sizeof label);
	hmac_add(&hmac, &server->sin_addr, 4);
	hmac_add(&hmac, &server->sin_port, 2);
	hmac_add(&hmac, server_nonce, LAUNCH_NONCE_BYTES);
	hmac_add(&hmac, client_nonce, LAUNCH_NONCE_BYTES);
	hmac_add(&hmac, size, sizeof size);
	hmac_add(&hmac, text, length);
	hmac_end(&hmac, mac);
}

void launch_accept_mac(const struct secret *secret, const unsigned char request_mac[SHA256_BYTES],
		       unsigned char mac[SHA256_BYTES])
{
	static const char label[] = "rankshift launch accepted 1";
	struct hmac hmac;
	hmac_begin(&hmac, secret->bytes, secret->length);
	hmac_add(&hmac, label, sizeof label);
	hmac_add(&hmac, request_mac, SHA256_BYTES);
	hmac_end(&hmac, mac);
}

uint32_t get_be32(const unsigned char *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

void put_be32(unsigned char *bytes, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		bytes[i] = (unsigned char)(value >> (24 - 8 * i));
}
