/* The target's end of the page stream: takes records from descriptor 3 and keeps the pages in files. */
#include <inttypes.h>
#include <stdio.h>

#include "../bulk/stream.h"
#include "../init/arguments.h"
#include "intake.h"
#include "pages.h"

int store(int argc, char **argv)
{
	static struct store_files files;
	static struct stream connection;
	struct intake stream = { .files = &files, .chain = WIRE_START };
	enum wire_kind kind;
	if (argc != 2 && argc != 6)
		fail(2, "usage: rankshift-pages store DIR [ADDRESS LOW-PORT HIGH-PORT SOURCE]");
	files.directory = argv[1];
	open_files(&files);
	if (files.count > 0)
		fail(1, "%s holds pages already", argv[1]);
	if (argc == 6) {
		end_with_parent();
		stream_accept(&connection, argv[2], argv[3], argv[4], argv[5]);
		wire_through(&connection);
	}
	greet(&stream);
	do {
		wait_for_record();
		kind = take_record(&stream);
		if (kind == WIRE_LEFT)
			fail(1, "the source keeps pages back, which only a post-copy may");
	} while (kind != WIRE_END);
	printf("{\"processes\":%zu,\"pages\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"checksum\":\"%016" PRIx64 "\"}\n", files.count,
	       stream.pages, stream.bytes, stream.chain);
	return 0;
}
