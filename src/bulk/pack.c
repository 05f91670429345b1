#include "pack.h"

#include <lz4.h>
#include <string.h>
#include <zstd.h>

#include "../init/arguments.h"

enum {
	ZSTD_LEVEL = 1,	 /* of 1 to 22: twice the level takes twice the time for a few percent */
	MOST_SKIPPED = 3, /* 2^3 frames, 2 MiB, go by untried where the ones before gained nothing */
};

int parse_compression(const char *name)
{
	static const char *const names[] = { "none", "lz4", "zstd" };
	for (int i = 0; i < 3; i++)
		if (strcmp(name, names[i]) == 0)
			return i;
	return -1;
}

static void *need(void *context)
{
	if (context == NULL)
		fail(1, "no memory for zstd");
	return context;
}

size_t pack_always(struct packer *packer, const void *bytes, size_t length, void *to)
{
	size_t room = length - length / 8;
	if (packer->kind == PACK_LZ4) {
		int packed = LZ4_compress_default(bytes, to, (int)length, (int)room);
		return packed > 0 ? (size_t)packed : 0;
	}
	if (packer->kind == PACK_ZSTD) {
		if (packer->compressor == NULL)
			packer->compressor = need(ZSTD_createCCtx());
		size_t packed = ZSTD_compressCCtx(packer->compressor, to, room, bytes, length, ZSTD_LEVEL);
		return ZSTD_isError(packed) ? 0 : packed;
	}
	return 0;
}

size_t pack(struct packer *packer, const void *bytes, size_t length, void *to)
{
	if (packer->skip > 0) {
		packer->skip--;
		return 0;
	}
	size_t packed = pack_always(packer, bytes, length, to);
	if (packed > 0) {
		packer->misses = 0;
	} else {
		if (packer->misses < MOST_SKIPPED)
			packer->misses++;
		packer->skip = (1u << packer->misses) - 1;
	}
	return packed;
}

bool unpack(struct packer *packer, const void *packed, size_t packed_length, void *to, size_t length)
{
	if (packer->kind == PACK_LZ4)
		return LZ4_decompress_safe(packed, to, (int)packed_length, (int)length) == (int)length;
	if (packer->kind == PACK_ZSTD) {
		if (packer->expander == NULL)
			packer->expander = need(ZSTD_createDCtx());
		return ZSTD_decompressDCtx(packer->expander, to, length, packed, packed_length) == length;
	}
	return false;
}
