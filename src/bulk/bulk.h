/*
 * rankshift-bulk: carries CRIU's page images from one memory file system into another, over TLS 1.3 with a key of its
 * own that the agents agreed upon over their channel. It exists because a GiB through Node's TLS costs six times the
 * processor time, inside the downtime window.
 */
#ifndef RANKSHIFT_BULK_H
#define RANKSHIFT_BULK_H

#include "stream.h"

enum {
	LARGEST_FILES = 1000000,
};

/* In front of each piece, little endian as CRIU's images are. */
struct frame {
	uint32_t file;	 /* N of pages-N.img, from 1 on without gaps; 0: no more, 8 bytes with the sum of all follow */
	uint32_t length; /* bytes that follow; 0: the file ends */
};

enum { PIECE_BYTES = FRAME_BYTES - sizeof(struct frame) };

int send_main(int argc, char **argv);
int receive_main(int argc, char **argv);
int load_main(int argc, char **argv);
int sink_main(int argc, char **argv);

#endif
