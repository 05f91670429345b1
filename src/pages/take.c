/*
 * The target's end of a post-copy: takes records as `store` does until the source has told all but the pages that it
 * keeps back, then serves the restore as `serve` does, and takes those pages meanwhile. From then on it does not end
 * with the agent.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "../bulk/stream.h"
#include "../init/arguments.h"
#include "late.h"
#include "pages.h"
#include "serve.h"

static struct stream connection;

int take(int argc, char **argv)
{
	static struct store_files files;
	static struct intake intake = { .files = &files, .chain = WIRE_START };
		enum wire_kind kind;
	if (argc != 8)
		fail(2, "usage: rankshift-pages take DIR WORK_DIR CGROUP_DIR ADDRESS LOW-PORT HIGH-PORT SOURCE");
	files.directory = realpath(argv[1], NULL);
	if (files.directory == NULL)
		fail(1, "cannot find %s: %s", argv[1], strerror(errno));
	open_files(&files);
	if (files.count > 0)
		fail(1, "%s holds pages already", argv[1]);
	end_with_parent();
	stream_accept(&connection, argv[4], argv[5], argv[6], argv[7]);
	wire_through(&connection);
	greet(&intake);
	do {
		wait_for_record();
		kind = take_record(&intake);
	} while (kind != WIRE_LEFT && kind != WIRE_END);
	prctl(PR_SET_PDEATHSIG, 0);
	struct guarded *guarded = divide(argv[3], argv[2]);
	/* A hybrid may find that the rest fits into the freeze. */
	if (kind == WIRE_END)
		mark_whole(&files);
	else
		begin_late(&intake, &connection);
	return serve_restore(&files, kind == WIRE_LEFT, argv[2], guarded);
}
