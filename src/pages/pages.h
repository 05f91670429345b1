/* The subcommands of rankshift-pages. Each gets its own arguments (argv[0] is its name) and returns the exit code. */
#ifndef RANKSHIFT_PAGES_H
#define RANKSHIFT_PAGES_H

int source(int argc, char **argv);
int store(int argc, char **argv);
int serve(int argc, char **argv);
int checksum(int argc, char **argv);
int sum(int argc, char **argv);
int compare(int argc, char **argv);
int take(int argc, char **argv);
int ratio(int argc, char **argv);
int split(int argc, char **argv);
int soft_dirty(int argc, char **argv);
int probe(int argc, char **argv);

#endif
