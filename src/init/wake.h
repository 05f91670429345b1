/* The wake: making peers retransmit at once (RFC 6069). */
#ifndef RANKSHIFT_WAKE_H
#define RANKSHIFT_WAKE_H

#include <stdint.h>

#define WAKE_ROUNDS 8
#define WAKE_INTERVAL_US 2000

/* Sends the messages of a list file from inside a network namespace; fails with exit code 1. */
void wake_peers(const char *netns, const char *list, int64_t rounds, int64_t interval_us);

#endif
