/* What the parts of the launch service share: one connection and its life. */
#ifndef RANKSHIFT_LAUNCH_STATE_H
#define RANKSHIFT_LAUNCH_STATE_H

#include <stdint.h>
#include <sys/types.h>

#include "launch.h"

#define PAGE 4096
#define REQUEST_ROOM ((LAUNCH_HEADER_BYTES + LAUNCH_TEXT_LIMIT + 1 + PAGE - 1) / PAGE * PAGE)
#define QUEUE_ROOM (4 * PAGE)
#define REQUEST_MS 10000 /* a client must have sent its request by then */
#define CROWDED_MS 1000  /* the same, once every place is taken */
#define FLUSH_MS 10000   /* a client must take some of the output by then, once the shell has ended */
#define LINGER_MS 2000   /* a client must hang up by then, once it has everything */

/* REQUEST -> RUNNING -> ENDED -> FLUSHING -> LINGERING -> FREE; a refusal goes from REQUEST to FLUSHING. */
enum state { FREE, REQUEST, RUNNING, ENDED, FLUSHING, LINGERING };

struct launch {
	enum state state;
	int socket;
	int pipes[2]; /* the shell's stdout and stderr, -1 once closed */
	int left[2];  /* once the shell has ended: bytes of each pipe that are still to be relayed */
	pid_t pid;
	int exit_code;
	int64_t deadline_ms; /* 0: none */
	uint32_t received;
	uint32_t queued, sent; /* the queue holds bytes [sent, queued) */
	unsigned char nonce[LAUNCH_NONCE_BYTES];
	/* On pages of their own, which go back to the kernel after use: a checkpoint of PID 1 does not carry them. */
	unsigned char *request; /* REQUEST_ROOM */
	unsigned char *queue;   /* QUEUE_ROOM */
};

/* launch.c */
void give_back(void *pages, size_t length);
void close_pipe(struct launch *launch, int which);
void close_launch(struct launch *launch);

/* launch-request.c: reads the request; once it is whole, refuses it or starts the shell. */
void receive_request(struct launch *launch, const struct secret *secret);

/* launch-relay.c */
uint32_t queue_space(const struct launch *launch);
void queue_frame(struct launch *launch, enum launch_frame type, const void *payload, uint32_t length);
void relay(struct launch *launch);  /* RUNNING and ENDED: output to the client */
void finish(struct launch *launch); /* FLUSHING and LINGERING: the last frame, then the client's hang-up */

#endif
