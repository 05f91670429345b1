#include <stddef.h>
#include <time.h>

#include "shim.h"

/*
 * MPICH's MPI_Wtime is CLOCK_REALTIME, which no namespace virtualises: after a move it would be that of another node. So
 * it goes by CLOCK_MONOTONIC, which runs on across moves, from the value that MPI gave at the start. The two differ where
 * somebody sets a node's clock, which a timer had better not notice; slewing by NTP is in both.
 */
static double origin;
static int64_t origin_ns;
static int started;
static void *next_wtime;

int64_t shim_monotonic_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static double own_wtime(void)
{
	void *next = __atomic_load_n(&next_wtime, __ATOMIC_ACQUIRE);
	if (next == NULL)
		next = needed_function(&next_wtime, "MPI_Wtime");
	return ((double (*)(void))next)();
}

void start_wtime(void)
{
	if (shim_page == NULL || __atomic_load_n(&started, __ATOMIC_ACQUIRE))
		return;
	origin_ns = shim_monotonic_ns();
	origin = own_wtime();
	__atomic_store_n(&started, 1, __ATOMIC_RELEASE);
}

EXPORT double MPI_Wtime(void)
{
	attach();
	start_wtime();
	if (!__atomic_load_n(&started, __ATOMIC_ACQUIRE))
		return own_wtime();
	return origin + (double)(shim_monotonic_ns() - origin_ns) * 1e-9;
}

EXPORT double mpi_wtime_(void)
{
	return MPI_Wtime();
}

EXPORT double mpi_wtime__(void)
{
	return MPI_Wtime();
}
