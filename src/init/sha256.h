/* SHA-256 (FIPS 180-4) and HMAC-SHA256 (RFC 2104), incremental and without allocation. */
#ifndef RANKSHIFT_SHA256_H
#define RANKSHIFT_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES 32
#define SHA256_BLOCK 64

struct sha256 {
	uint32_t state[8];
	uint64_t length; /* bytes so far */
	unsigned char block[SHA256_BLOCK];
};

void sha256_begin(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *data, size_t length);
void sha256_end(struct sha256 *hash, unsigned char digest[SHA256_BYTES]);

struct hmac {
	struct sha256 inner;
	unsigned char outer_key[SHA256_BLOCK];
};

void hmac_begin(struct hmac *mac, const void *key, size_t length);
void hmac_add(struct hmac *mac, const void *data, size_t length);
void hmac_end(struct hmac *mac, unsigned char digest[SHA256_BYTES]);

/* Compares in time that does not depend on the contents. 1 if equal. */
int digest_equal(const unsigned char a[SHA256_BYTES], const unsigned char b[SHA256_BYTES]);

#endif
