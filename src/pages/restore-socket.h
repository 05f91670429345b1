/* Where `criu restore --lazy-pages` looks for its lazy-pages daemon (criu/uffd.c): lazy-pages.socket in its work directory. */
#ifndef RANKSHIFT_PAGES_RESTORE_SOCKET_H
#define RANKSHIFT_PAGES_RESTORE_SOCKET_H

/* Enters the directory and listens there. Fails for good where that is not possible. */
int listen_for_restore(const char *directory);

/* The descriptor that follows the number of a process, with one byte; -1 where none comes. */
int take_descriptor(int connection);

#endif
