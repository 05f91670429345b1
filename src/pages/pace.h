/* How fast pages may go: a limit of this move, and one that all moves of this node share. */
#ifndef RANKSHIFT_PAGES_PACE_H
#define RANKSHIFT_PAGES_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* From now on: bytes per second of this move, 0 for no limit, and whether the node's limit holds. */
void set_pace(uint64_t bytes_per_second, bool with_node);

/*
 * The node's limit. The file is shared by all programs that send: it holds the time, CLOCK_MONOTONIC in ns, up to which
 * the bytes of all of them are paid. Exits where it cannot be opened.
 */
void share_node_limit(const char *file, uint64_t bytes_per_second);

/* Sleeps off what has gone out faster than allowed; ends with the agent, which holds the other end of standard input. */
void keep_pace(uint64_t bytes);

#endif
