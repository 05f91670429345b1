/* A restored process whose memory is filled from the store: userfaultfd(2), "Userfaultfd in missing mode". */
#ifndef RANKSHIFT_PAGES_RESTORED_H
#define RANKSHIFT_PAGES_RESTORED_H

#include <stdbool.h>
#include <stdint.h>

#include "segments.h"
#include "store-file.h"

#define FAULTS 1024
#define STREAMS 8

struct restored {
	int userfaultfd;
	struct store_file *file;
	struct segments missing;
	bool shared; /* has forked, or was forked: others need the same stored pages */
	bool over;   /* nothing is missing any more, or the process has ended */
	bool waits;  /* what it lacks next has not come from the source yet */
	bool try_again; /* a fault could not be answered before an event is read */
	struct fault {
		uint64_t address;
		bool requested;
	} faults[FAULTS];
	size_t fault_count;
	/* Where memory is gone through in order: the page that is missed next, and how many came with the one before. */
	struct stream {
		uint64_t next;
		size_t pages;
	} streams[STREAMS];
	size_t stream; /* whose turn it is to be forgotten */
};

struct counted {
	uint64_t pages, faults, answered;
};

#define CHUNK_PAGES 64

extern struct counted counted;

/* Reads what the kernel reports of the process. A child that it forked is returned, else NULL. */
struct restored *take_event(struct restored *restored, bool *more);

/* Answers the faults that wait, freeing as `fill_chunk` does. Those that must wait on for an event stay. */
void answer_faults(struct restored *restored, bool freeing);

/* Fills in one more chunk of `most` pages, at most CHUNK_PAGES; with `freeing` its memory in the store is freed where no other process needs it. */
void fill_chunk(struct restored *restored, bool freeing, size_t most);

/* Frees all stored memory that the process does not need any more. */
void free_filled(struct restored *restored);

/* Lets go: the process has all its memory, what is still absent is zeros. */
void finish(struct restored *restored);

/* A process that is being restored, by the descriptor that CRIU sent. */
struct restored *begin_restored(int userfaultfd, struct store_file *file);

#endif
