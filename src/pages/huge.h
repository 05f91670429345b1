/* Huge pages, which soft-dirty takes for one page. */
#ifndef RANKSHIFT_PAGES_HUGE_H
#define RANKSHIFT_PAGES_HUGE_H

#include "processes.h"

/* Splits the transparent huge pages of a process's private anonymous memory, for each_process. What cannot be split stays. */
void split_huge_pages(const struct process *process, void *context);

#endif
