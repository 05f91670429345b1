/* The calls that begin and end MPI, and UCX's progress. */
#include <sched.h>
#include <stddef.h>

#include "shim.h"

typedef long word;

#define THREAD_MULTIPLE 3 /* in Open MPI and MPICH alike */

/* About as many looks in vain as a message takes between two nodes. */
#define LOOKS_BEFORE_YIELD 64

#define NEXT(type, name)                                                                                               \
	static void *kept;                                                                                             \
	void *found = __atomic_load_n(&kept, __ATOMIC_ACQUIRE);                                                        \
	__typeof__(type) next = (__typeof__(type))(found != NULL ? found : needed_function(&kept, name))

static word started(word result)
{
	attach();
	start_wtime();
	return result;
}

static word started_with_threads(word result, const int *provided)
{
	if (provided != NULL && *provided >= THREAD_MULTIPLE)
		expect_threads();
	return started(result);
}

EXPORT word MPI_Init(word argc, word argv)
{
	NEXT(word(*)(word, word), "MPI_Init");
	return started(next(argc, argv));
}

EXPORT word MPI_Init_thread(word argc, word argv, word required, int *provided)
{
	NEXT(word(*)(word, word, word, int *), "MPI_Init_thread");
	return started_with_threads(next(argc, argv, required, provided), provided);
}

/* A session says in its info object whether threads will call at the same time: taken for granted here. */
EXPORT word MPI_Session_init(word info, word handler, word session)
{
	NEXT(word(*)(word, word, word), "MPI_Session_init");
	expect_threads();
	return started(next(info, handler, session));
}

/* Who has ended MPI is waited for no more. */
static void ending(void)
{
	enter_mpi();
	leave_mpi();
	detach();
}

EXPORT word MPI_Finalize(void)
{
	NEXT(word(*)(void), "MPI_Finalize");
	ending();
	return next();
}

#define FORTRAN(suffix)                                                                                                \
	EXPORT word mpi_init##suffix(word error)                                                                       \
	{                                                                                                              \
		NEXT(word(*)(word), "mpi_init" #suffix);                                                               \
		return started(next(error));                                                                           \
	}                                                                                                              \
	EXPORT word mpi_init_thread##suffix(word required, int *provided, word error)                                  \
	{                                                                                                              \
		NEXT(word(*)(word, int *, word), "mpi_init_thread" #suffix);                                           \
		return started_with_threads(next(required, provided, error), provided);                                \
	}                                                                                                              \
	EXPORT word mpi_finalize##suffix(word error)                                                                   \
	{                                                                                                              \
		NEXT(word(*)(word), "mpi_finalize" #suffix);                                                           \
		ending();                                                                                              \
		return next(error);                                                                                    \
	}

FORTRAN(_)
FORTRAN(_f08_)

/*
 * MPICH looks for messages without end while it waits, and gives its processor up never: two such ranks on one processor
 * take turns of milliseconds. Here, after some looks in vain, it offers the processor to others between two looks.
 */
EXPORT unsigned ucp_worker_progress(void *worker)
{
	static __thread unsigned looks __attribute__((tls_model("initial-exec")));
	NEXT(unsigned (*)(void *), "ucp_worker_progress");
	unsigned events = next(worker);
	if (events != 0)
		looks = 0;
	else if (++looks > LOOKS_BEFORE_YIELD && shim_page != NULL)
		sched_yield();
	return events;
}
