/*
 * The page that a container's ranks share with the agent of its node: the file /.rankshift/mpi.page, in the container's
 * upper directory, so that it moves with the container. The agent knows it by src/container/shim-page.ts. It is the
 * user's file: the agent believes nothing of it but who is parked.
 */
#ifndef RANKSHIFT_SHIM_PAGE_H
#define RANKSHIFT_SHIM_PAGE_H

#include <stdint.h>

#define SHIM_PAGE_FILE "/.rankshift/mpi.page"
#define SHIM_PAGE_MAGIC 0x314d4853 /* "SHM1", little endian */

struct shim_slot {
	uint32_t pid;    /* of a rank, in the container's numbers; 0: free */
	uint32_t inside; /* threads inside of MPI calls, those that are parked among them */
	uint32_t parked; /* threads parked at the entry of a call */
	uint32_t calls;  /* how many calls were entered */
	uint32_t room[12];
};

struct shim_page {
	uint32_t magic, slots;
	uint32_t request, released; /* ranks park while these two differ */
	uint32_t limit_ms;          /* the longest that a rank stays parked: nobody has released it by then */
	uint32_t room[11];
	struct shim_slot slot[];
};

_Static_assert(sizeof(struct shim_slot) == 64 && sizeof(struct shim_page) == 64, "known to the agent");

#endif
