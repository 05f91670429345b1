/* What a link carries: bytes through a stream as memory takes it, thrown away at the other end. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../init/arguments.h"
#include "bulk.h"

enum { MOST_FRAMES = 1024 };

static char buffer[FRAME_BYTES];
static struct stream stream;

static void send_piece(struct frame head, size_t length)
{
	memcpy(buffer, &head, sizeof head);
	stream_write(&stream, buffer, sizeof head + length);
}

/*
 * load ADDRESS PORT MS FRAMES: sends so many frames to a `sink`, fewer where time is up. Standard input: as of `send`.
 * Standard output: "ready", then bytes per second.
 */
int load_main(int argc, char **argv)
{
	int64_t ms, frames;
	uint64_t rate;
	if (argc != 5 || parse_number(argv[3], 1, 60000, &ms) != 0 || parse_number(argv[4], 2, MOST_FRAMES, &frames) != 0)
		fail(2, "usage: load ADDRESS PORT MS FRAMES");
	end_with_parent();
	stream_connect(&stream, argv[1], argv[2]);
	int64_t end = monotonic_ms() + ms;
	for (int64_t i = 0; i < frames && (i < 2 || monotonic_ms() < end); i++)
		send_piece((struct frame){.file = 1, .length = PIECE_BYTES}, PIECE_BYTES);
	send_piece((struct frame){.file = 0}, 0);
	stream_flush(&stream);
	stream_read(&stream, &rate, sizeof rate);
	printf("%llu\n", (unsigned long long)rate);
	return 0;
}

/* sink ADDRESS LOW-PORT HIGH-PORT SOURCE: takes what `load` sends. Standard input and output: as of `receive`. */
int sink_main(int argc, char **argv)
{
	static struct {
		int64_t ns;
		uint64_t sum;
	} at[MOST_FRAMES + 1];
	struct frame head = {.file = 1};
	uint32_t count = 0, half = 0;
	if (argc != 5)
		fail(2, "usage: sink ADDRESS LOW-PORT HIGH-PORT SOURCE");
	end_with_parent();
	stream_accept(&stream, argv[1], argv[2], argv[3], argv[4]);
	for (uint64_t sum = 0;; sum += head.length) {
		at[count].ns = monotonic_ns();
		at[count].sum = sum;
		stream_read(&stream, &head, sizeof head);
		if (head.file == 0)
			break;
		if (head.length > PIECE_BYTES || ++count > MOST_FRAMES)
			fail(1, "a frame that is too large");
		stream_read(&stream, buffer, head.length);
	}
	/* The second half alone: slow start, and what a shaper lets through at first, say nothing of a GiB. */
	while (half + 1 < count && at[half].sum < at[count].sum / 2)
		half++;
	int64_t ns = at[count].ns - at[half].ns;
	uint64_t rate = ns > 0 ? (uint64_t)((double)(at[count].sum - at[half].sum) * 1e9 / (double)ns) : 0;
	stream_write(&stream, &rate, sizeof rate);
	stream_flush(&stream);
	printf("%llu\n", (unsigned long long)rate);
	return 0;
}
