/*
 * Checksums of memory: for a process the sum (modulo 2^64) over its pages that are not all zeros of the page's hash
 * seeded with its address. Neither order nor absent pages matter, so that a container, a store and a restored container
 * can be compared.
 */
#ifndef RANKSHIFT_PAGES_CHECKSUM_H
#define RANKSHIFT_PAGES_CHECKSUM_H

#include "container.h"

/* Prints {"processes":[{"process","pages","checksum"}]}, sorted by process, over the listed processes. */
void print_checksums(const struct container *container);

#endif
