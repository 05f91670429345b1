/* The subcommands of rankshift-node. Each gets its own arguments (argv[0] is its name) and returns the exit code. */
#ifndef RANKSHIFT_NODE_H
#define RANKSHIFT_NODE_H

#include <stdint.h>

int gate(int argc, char **argv);
int wake(int argc, char **argv);
int timens(int argc, char **argv);
int drain(int argc, char **argv);
int progress(int argc, char **argv);
int clocks(int argc, char **argv);
int enter_container(int argc, char **argv);

/* Enters a network namespace by the path of its file; fails with exit code 1. */
void enter_network_namespace(const char *path);

#endif
