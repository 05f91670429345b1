#include "sha256.h"

#include <string.h>

static const uint32_t round_constants[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t value, int bits)
{
	return value >> bits | value << (32 - bits);
}

static void compress(struct sha256 *hash, const unsigned char *block)
{
	uint32_t w[64], s[8];
	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
		       (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
	for (int i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];
		w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
		       (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
	}
	memcpy(s, hash->state, sizeof s);
	for (int i = 0; i < 64; i++) {
		uint32_t t1 = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) +
			      ((s[4] & s[5]) ^ (~s[4] & s[6])) + round_constants[i] + w[i];
		uint32_t t2 = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) +
			      ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
		memmove(&s[1], &s[0], 7 * sizeof s[0]);
		s[4] += t1;
		s[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++)
		hash->state[i] += s[i];
}

void sha256_begin(struct sha256 *hash)
{
	static const uint32_t initial[8] = {
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	};
	memcpy(hash->state, initial, sizeof initial);
	hash->length = 0;
}

void sha256_add(struct sha256 *hash, const void *data, size_t length)
{
	const unsigned char *bytes = data;
	while (length > 0) {
		size_t used = hash->length % SHA256_BLOCK;
		size_t part = SHA256_BLOCK - used < length ? SHA256_BLOCK - used : length;
		memcpy(hash->block + used, bytes, part);
		hash->length += part;
		bytes += part;
		length -= part;
		if (used + part == SHA256_BLOCK)
			compress(hash, hash->block);
	}
}

void sha256_end(struct sha256 *hash, unsigned char digest[SHA256_BYTES])
{
	static const unsigned char padding[SHA256_BLOCK] = { 0x80 };
	unsigned char bits[8];
	for (int i = 0; i < 8; i++)
		bits[i] = (unsigned char)(hash->length * 8 >> (56 - 8 * i));
	size_t used = hash->length % SHA256_BLOCK;
	sha256_add(hash, padding, used < 56 ? 56 - used : 120 - used);
	sha256_add(hash, bits, sizeof bits);
	for (int i = 0; i < SHA256_BYTES; i++)
		digest[i] = (unsigned char)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
}

void hmac_begin(struct hmac *mac, const void *key, size_t length)
{
	unsigned char block[SHA256_BLOCK] = { 0 };
	if (length > sizeof block) {
		sha256_begin(&mac->inner);
		sha256_add(&mac->inner, key, length);
		sha256_end(&mac->inner, block);
	} else {
		memcpy(block, key, length);
	}
	for (size_t i = 0; i < sizeof block; i++) {
		mac->outer_key[i] = block[i] ^ 0x5c;
		block[i] ^= 0x36;
	}
	sha256_begin(&mac->inner);
	sha256_add(&mac->inner, block, sizeof block);
}

void hmac_add(struct hmac *mac, const void *data, size_t length)
{
	sha256_add(&mac->inner, data, length);
}

void hmac_end(struct hmac *mac, unsigned char digest[SHA256_BYTES])
{
	struct sha256 outer;
	sha256_end(&mac->inner, digest);
	sha256_begin(&outer);
	sha256_add(&outer, mac->outer_key, sizeof mac->outer_key);
	sha256_add(&outer, digest, SHA256_BYTES);
	sha256_end(&outer, digest);
}

int digest_equal(const unsigned char a[SHA256_BYTES], const unsigned char b[SHA256_BYTES])
{
	unsigned char difference = 0;
	for (int i = 0; i < SHA256_BYTES; i++)
		difference |= a[i] ^ b[i];
	return difference == 0;
}
