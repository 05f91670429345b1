/* PID 1 of a rank container. */
#ifndef RANKSHIFT_PID1_H
#define RANKSHIFT_PID1_H

/* Runs until the main program ends, or without one until SIGTERM; returns the exit code. */
int pid1(int argc, char **argv);

/* Started under the name rsh: runs a command in another container of the job; returns the exit code. */
int rsh(int argc, char **argv);

#endif
