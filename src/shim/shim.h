/*
 * The MPI shim: preloaded into the ranks of a container, between a program and its MPI. It knows neither's headers: the
 * handles of MPIs differ, but their calls take nothing but integers and pointers, which it hands on. It is linked with
 * no library, so that it loads with any libc.
 */
#ifndef RANKSHIFT_SHIM_H
#define RANKSHIFT_SHIM_H

#include <stdint.h>

#include "page.h"

#define EXPORT __attribute__((visibility("default")))

/* The function of that name which would be called without us: of a profiler, of MPI. NULL where there is none. */
void *next_function(const char *name);

/* The same for a call that was made already; without it the process ends. Kept in *kept. */
void *needed_function(void **kept, const char *name);

/* The page of the container; NULL where we are not in one, or the rank has ended MPI. */
extern struct shim_page *shim_page;
extern struct shim_slot *shim_slot;

/* Finds the page, once. */
void attach(void);

/* Gives the rank's place in the page back. */
void detach(void);

/* Threads call MPI at the same time from now on. */
void expect_threads(void);

/* Around each MPI call. */
void enter_mpi(void);
void leave_mpi(void);

int64_t shim_monotonic_ns(void);

/* From here on MPI_Wtime goes by CLOCK_MONOTONIC. */
void start_wtime(void);

#endif
