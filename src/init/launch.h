/* PID 1's service for the job's other containers: authenticated requests to run a shell text. No allocation. */
#ifndef RANKSHIFT_LAUNCH_H
#define RANKSHIFT_LAUNCH_H

#include <poll.h>
#include <stdint.h>
#include <sys/types.h>

#include "protocol.h"

#define LAUNCH_LIMIT 64                     /* requests at a time; more wait in the backlog */
#define LAUNCH_POLLS (1 + 3 * LAUNCH_LIMIT) /* listener, and per launch: socket, stdout, stderr */

/* Listens. On failure -1 and errno. */
int launch_listen(const struct in_addr *address, uint16_t port, const struct secret *secret);

/* Fills polls with what to wait for; lowers *timeout_ms (-1: none) to the next deadline. Returns the number filled. */
int launch_wait_for(struct pollfd *polls, int *timeout_ms);

/* Does whatever can be done without waiting. */
void launch_advance(void);

/* Tells the service that a child was reaped; foreign pids are ignored. */
void launch_child_ended(pid_t pid, int exit_code);

/* Closes the listener and every connection. */
void launch_close(void);

#endif
