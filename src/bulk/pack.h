/* Compression of the frames of a stream. What does not get smaller costs next to nothing: it is rarely tried. */
#ifndef RANKSHIFT_PACK_H
#define RANKSHIFT_PACK_H

#include <stdbool.h>
#include <stddef.h>

enum compression {
	PACK_NONE,
	PACK_LZ4,
	PACK_ZSTD,
};

/* `none`, `lz4` or `zstd`; -1 for anything else. */
int parse_compression(const char *name);

struct packer {
	enum compression kind;
	void *compressor, *expander; /* contexts of zstd, made when they are needed */
	unsigned misses, skip;
};

/* Packs into `to`, which holds as many bytes as come; 0 where they do not get smaller by an eighth. */
size_t pack(struct packer *packer, const void *bytes, size_t length, void *to);

/* The same without remembering what gained nothing. */
size_t pack_always(struct packer *packer, const void *bytes, size_t length, void *to);

/* False where that is not exactly `length` bytes packed. */
bool unpack(struct packer *packer, const void *packed, size_t packed_length, void *to, size_t length);

#endif
