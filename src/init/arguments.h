/* What both programs share about their arguments: whole decimal numbers and nothing else. */
#ifndef RANKSHIFT_ARGUMENTS_H
#define RANKSHIFT_ARGUMENTS_H

#include <stdint.h>

/* Parses a decimal number within [least, most]; 0 on success, -1 on anything else (empty, spaces, trailing text). */
int parse_number(const char *text, int64_t least, int64_t most, int64_t *value);

/* Milliseconds and nanoseconds of CLOCK_MONOTONIC, for deadlines. */
int64_t monotonic_ms(void);
int64_t monotonic_ns(void);

/* Prints "NAME: message" on stderr and exits: 2 for a usage error, 1 for any other. */
_Noreturn void fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The name in front of fail()'s messages; set once by main. */
extern const char *program_name;

#endif
