/* Every MPI call that communicates: enter, the call itself, leave. In C and in Fortran, as both MPIs name them. */
#include <stddef.h>

#include "shim.h"

typedef long word; /* an integer or a pointer */

#define P1 word a
#define P2 P1, word b
#define P3 P2, word c
#define P4 P3, word d
#define P5 P4, word e
#define P6 P5, word f
#define P7 P6, word g
#define P8 P7, word h
#define P9 P8, word i
#define P10 P9, word j
#define P11 P10, word k
#define P12 P11, word l
#define P13 P12, word m
#define P14 P13, word n
#define A1 a
#define A2 A1, b
#define A3 A2, c
#define A4 A3, d
#define A5 A4, e
#define A6 A5, f
#define A7 A6, g
#define A8 A7, h
#define A9 A8, i
#define A10 A9, j
#define A11 A10, k
#define A12 A11, l
#define A13 A12, m
#define A14 A13, n

#define WRAP(symbol, count)                                                                                            \
	EXPORT word symbol(P##count);                                                                                  \
	EXPORT word symbol(P##count)                                                                                   \
	{                                                                                                              \
		static void *kept;                                                                                     \
		void *next = __atomic_load_n(&kept, __ATOMIC_ACQUIRE);                                                 \
		if (__builtin_expect(next == NULL, 0))                                                                 \
			next = needed_function(&kept, #symbol);                                                        \
		enter_mpi();                                                                                           \
		word result = ((word(*)(P##count))next)(A##count);                                                     \
		leave_mpi();                                                                                           \
		return result;                                                                                         \
	}

/* Fortran's subroutines have the error code as one argument more. */
#define CALL(name, lower, count, one_more)                                                                             \
	WRAP(MPI_##name, count)                                                                                        \
	WRAP(mpi_##lower##_, one_more)                                                                                 \
	WRAP(mpi_##lower##_f08_, one_more)

#define LARGE(name, lower, count, one_more)                                                                            \
	CALL(name, lower, count, one_more)                                                                             \
	WRAP(MPI_##name##_c, count)

#include "calls.inc"
