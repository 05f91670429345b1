/* Fills a restored container; serve.c says how. */
#ifndef RANKSHIFT_PAGES_SERVE_H
#define RANKSHIFT_PAGES_SERVE_H

#include <stdbool.h>

#include "guard.h"
#include "store-file.h"

/* Until all processes have their memory. With `late` a part of it comes yet (late.h). Returns the exit code. */
int serve_restore(struct store_files *files, bool late, const char *work_directory, struct guarded *guarded);

#endif
