/*
 * rankshift-upper: keeps a copy of a container's upper directory on another node while the container runs, so that its
 * freeze carries only what was changed last. docs/upper.md is its contract.
 */
#ifndef RANKSHIFT_UPPER_H
#define RANKSHIFT_UPPER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

/* Longest path below the directory; deeper trees are refused. */
#define PATH_BYTES 8192
#define BLOCK_BYTES 65536
/* Data of one record. */
#define PIECE_BYTES 262144
#define MOST_XATTRS 256
#define XATTR_BYTES 65536

/* The stream: records of an operation, a length of what follows, and that. Numbers in the machine's order. */
enum operation {
	OP_HOLD = 'H',      /* number of an inode, path: a further name outside of the tree, until the end of the pass */
	OP_REMOVE = 'R',    /* path, of a directory that is empty by then, or of anything else */
	OP_DIRECTORY = 'D', /* path */
	OP_SYMLINK = 'L',   /* length of the path, path, what it leads to */
	OP_NODE = 'N',      /* type, path: a FIFO, or a character device 0/0 (a whiteout) */
	OP_FILE = 'F',      /* struct file_head, path: the file that data is for from here on */
	OP_LINK = 'K',      /* length of the path, path, path of a file that is there */
	OP_WRITE = 'W',     /* offset, bytes */
	OP_PUNCH = 'P',     /* offset, length: a hole */
	OP_ATTRIBUTES = 'A',/* struct attribute_head, path, extended attributes */
	OP_PASS = 'E',      /* end of a pass */
	OP_END = 'Z',       /* end of the last one */
};

enum origin { NEW, HELD, THERE };

struct file_head {
	uint64_t inode, size;
	uint32_t origin, empty; /* of the enum; whether its old content goes first */
} __attribute__((packed));

struct attribute_head {
	uint32_t mode, uid, gid, path_bytes, xattrs;
	int64_t seconds;
	uint32_t nanoseconds;
} __attribute__((packed));

/* place.c: never through a symbolic link, never out of the directory. */

struct place {
	int root;
	int parent; /* open directory of the last path */
	char directory[PATH_BYTES];
};

void place_open(struct place *place, const char *directory);
/* Opens the parent of the path; returns the last part, NULL where a part is not there or no directory. "" is the root
 * itself: ".". */
const char *place_enter(struct place *place, const char *path);
/* Forgets the parent: a directory of that name may be another one now. */
void place_forget(struct place *place);
/* Opens what is at the path, O_PATH; -1 where nothing is. */
int place_peek(struct place *place, const char *path);

/* wire.c */

struct out {
	char *buffer;
	size_t used;
	uint64_t bytes;
};

void out_start(struct out *out);
void out_record(struct out *out, enum operation operation, const void *head, size_t head_bytes, const void *body,
		size_t body_bytes);
void out_flush(struct out *out);

struct record {
	enum operation operation;
	uint32_t length;
	char *payload; /* followed by a zero byte */
};

/* Reads the next record from standard input; exits where the stream ends or is malformed. */
struct record in_record(void);

/* tree.c */

struct block_sums {
	uint64_t count;
	uint64_t sums[];
};

struct entry {
	char *path;
	uint64_t inode, size;
	uint32_t mode, uid, gid, links, device_major, device_minor;
	struct timespec modified, changed;
	struct block_sums *sums; /* of a large regular file, at the first of its names */
	uint8_t unsure;		 /* what was sent of it may be older than its times say */
	uint8_t dropped;	 /* gone before it could be sent */
	uint8_t touched;	 /* a directory in which something was changed */
	uint8_t created;
};

struct tree {
	struct entry *entries;
	size_t count, room;
};

/* Everything below the directory but sockets, parents first, in the order of compare_paths. */
void tree_scan(struct tree *tree, struct place *place);
void tree_free(struct tree *tree);
struct entry *tree_find(struct tree *tree, const char *path);
/* As strcmp, with '/' before every other byte. */
int compare_paths(const char *a, const char *b);

/* inodes.c: inode -> number of an entry. */

struct inodes {
	uint64_t *keys;
	size_t *values;
	size_t mask, count;
};

void inodes_open(struct inodes *inodes, size_t expected);
/* Keeps the first value of a key. */
void inodes_put(struct inodes *inodes, uint64_t key, size_t value);
/* SIZE_MAX where there is none. */
size_t inodes_get(const struct inodes *inodes, uint64_t key);
void inodes_close(struct inodes *inodes);

/* open-files.c: inodes that processes of a cgroup may write without a sign of it in the times. */
void find_open_files(struct inodes *open, const char *cgroup, struct place *place);

/* content.c: sends what differs from `before`, or all where that is NULL. 0, or -1 where the file is another or shrank. */
int send_content(struct out *out, struct entry *entry, int fd, const struct block_sums *before, int keep_sums);

/* changes.c: what turns `before` into `now`. Returns the number of entries that were changed. */
size_t send_changes(struct out *out, struct place *place, struct tree *before, struct tree *now, int final);

int source(int argc, char **argv);
int target(int argc, char **argv);

#endif
