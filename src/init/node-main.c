/*
 * rankshift-node: what the agent needs of a node in C: CRIU's gate, the wake of the peers, time namespaces, TCP state.
 * docs/c-programs.md is its contract.
 */
#include <stdio.h>
#include <string.h>

#include "arguments.h"
#include "node.h"

int main(int argc, char **argv)
{
	static const struct {
		const char *name, *program;
		int (*run)(int argc, char **argv);
	} commands[] = {
		{ "gate", "rankshift-node gate", gate },       { "wake", "rankshift-node wake", wake },
		{ "timens", "rankshift-node timens", timens }, { "drain", "rankshift-node drain", drain },
		{ "progress", "rankshift-node progress", progress }, { "clock", "rankshift-node clock", clocks },
		{ "enter", "rankshift-node enter", enter_container },
	};
	program_name = "rankshift-node";
	/* CRIU's configuration files take no blanks: a link named rankshift-gate in DIR is `gate DIR`. */
	char *slash = strrchr(argv[0], '/');
	if (slash != NULL && strcmp(slash + 1, "rankshift-gate") == 0) {
		*slash = '\0';
		program_name = commands[0].program;
		return gate(2, (char *[]){ "gate", argv[0], NULL });
	}
	if (argc < 2)
		fail(2, "usage: rankshift-node gate|wake|timens|drain|progress|clock|enter ...");
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		if (strcmp(argv[1], commands[i].name) == 0) {
			program_name = commands[i].program;
			return commands[i].run(argc - 1, argv + 1);
		}
	}
	fail(2, "unknown command %s\nusage: rankshift-node gate|wake|timens|drain|progress|clock|enter ...", argv[1]);
}
