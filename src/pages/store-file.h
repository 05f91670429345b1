/*
 * Where the target keeps a container's pages: for each process a sparse file `pages-N` in which the page of an address
 * lies at the offset of that value, and `keep-N`, the ranges that the process has. A hole is a page of zeros or an
 * absent one: to a process with private anonymous memory that is the same.
 */
#ifndef RANKSHIFT_PAGES_STORE_FILE_H
#define RANKSHIFT_PAGES_STORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "segments.h"
#include "wire.h"

/* Addresses of user space end below; any offset up to here is a valid one. */
#define STORE_END (1ULL << 57)

struct store_file {
	uint32_t process;
	int pages, keep;     /* descriptors */
	uint64_t data_pages; /* received so far */
	uint64_t kept_to;    /* how far the list under way has come; 0 between lists */
	struct segments coming; /* announced, and not here yet */
};

struct store_files {
	const char *directory;
	struct store_file **at;
	size_t count, room;
};

/* Opens every file of a store. Fails for good where that is not possible, as all of these; code 3 where it is full. */
void open_files(struct store_files *files);

/* The file of a process, NULL where there is none. */
struct store_file *find_file(struct store_files *files, uint32_t process);

/* The file of a process, made where there is none. */
struct store_file *make_file(struct store_files *files, uint32_t process);

/* Forgets a process and frees its memory. */
void remove_file(struct store_files *files, struct store_file *file);

void write_file(struct store_file *file, uint64_t address, const void *data, size_t length);
void read_file(struct store_file *file, uint64_t address, void *data, size_t length);

/* Sees to it that a range has memory already when it is written; where there is none, it gets it then. */
void reserve_file(struct store_file *file, uint64_t start, uint64_t end);

/* Frees the memory of a range; it reads as zeros. */
void punch_file(struct store_file *file, uint64_t start, uint64_t end);

/* The next page with data within [from, limit); false where there is none. */
bool next_data(struct store_file *file, uint64_t from, uint64_t limit, uint64_t *start);

/* Where the data at `start` ends. The kernel walks over all of it: not for a part at a time. */
uint64_t end_of_data(struct store_file *file, uint64_t start);

/* A part of the list of what the process has, in address order: what lies between is freed. */
void keep_ranges(struct store_file *file, const struct wire_run *runs, uint32_t count, bool last);

/* The list that was kept last. */
void kept_ranges(struct store_file *file, struct ranges *out);

#endif
