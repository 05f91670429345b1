/*
 * In the place of tar(1) for CRIU, which packs the content of each tmpfs of a container with `tar --create --gzip` in the
 * freeze and unpacks it before the restore: two programs and a compression for a handful of device nodes. Same arguments,
 * a stream of its own. docs/c-programs.md is its contract.
 */
#ifndef RANKSHIFT_TMPFS_H
#define RANKSHIFT_TMPFS_H

#include <stdint.h>

#define MAGIC "RSTMPFS1"
#define MAGIC_BYTES 8
#define PAGE_BYTES 4096
/* Longest run of data in one piece. */
#define PIECE_BYTES 262144
#define MOST_DEPTH 500

/* What a record is of; numbers in the machine's order. */
enum kind {
	KIND_DIRECTORY = 'D', /* what is in it follows, up to its KIND_UP; the first is the root */
	KIND_UP = 'U',
	KIND_FILE = 'F',      /* struct piece with its bytes, up to one of no length */
	KIND_AGAIN = 'K',     /* a further name of the file with this number */
	KIND_SYMLINK = 'L',
	KIND_NODE = 'N',      /* FIFO or device */
	KIND_END = 'Z',
};

struct head {
	uint8_t kind;
	uint16_t name_bytes, target_bytes; /* which follow */
	uint32_t mode, uid, gid, device_major, device_minor;
	uint32_t number; /* of a file with several names, from 1 on; else 0 */
	uint64_t size;
	int64_t seconds;
	uint32_t nanoseconds;
} __attribute__((packed));

struct piece {
	uint64_t offset, bytes;
} __attribute__((packed));

/* Both exit where anything fails. */
void pack(const char *directory);
void unpack(const char *directory);

#endif
