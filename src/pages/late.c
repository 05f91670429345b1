#include "late.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../bulk/stream.h"
#include "../init/arguments.h"

static struct intake *intake;
static struct stream *stream;

void begin_late(struct intake *from, struct stream *through)
{
	intake = from;
	stream = through;
	stream_alone(stream);
}

int late_descriptor(void)
{
	return stream_socket(stream);
}

bool late_pending(void)
{
	return stream_pending(stream);
}

static void ask(uint64_t process, uint64_t address)
{
	struct wire_request request = { process, address };
	stream_write(stream, &request, sizeof request);
	stream_flush(stream);
}

void request_page(uint32_t process, uint64_t address)
{
	ask(process, address);
}

void end_late(void)
{
	ask(WIRE_ALL_THERE, 0);
}

void mark_whole(const struct store_files *files)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/whole", files->directory);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		fail(1, "cannot write %s: %s", path, strerror(errno));
	close(fd);
}

bool take_late(void)
{
	if (take_record(intake) != WIRE_END)
		return true;
	mark_whole(intake->files);
	end_late();
	return false;
}
