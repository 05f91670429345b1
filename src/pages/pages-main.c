/* rankshift-pages: live pre-copy of a container's memory. docs/pages.md is its contract. */
#include <string.h>

#include "../init/arguments.h"
#include "pages.h"

int main(int argc, char **argv)
{
	static const struct {
		const char *name, *program;
		int (*run)(int argc, char **argv);
	} commands[] = {
		{ "source", "rankshift-pages source", source },
		{ "store", "rankshift-pages store", store },
		{ "serve", "rankshift-pages serve", serve },
		{ "take", "rankshift-pages take", take },
		{ "probe", "rankshift-pages probe", probe },
		{ "checksum", "rankshift-pages checksum", checksum },
		{ "sum", "rankshift-pages sum", sum },
		{ "compare", "rankshift-pages compare", compare },
		{ "ratio", "rankshift-pages ratio", ratio },
		{ "soft-dirty", "rankshift-pages soft-dirty", soft_dirty },
		{ "split", "rankshift-pages split", split },
	};
	program_name = "rankshift-pages";
	for (size_t i = 0; argc >= 2 && i < sizeof commands / sizeof *commands; i++) {
		if (strcmp(argv[1], commands[i].name) == 0) {
			program_name = commands[i].program;
			return commands[i].run(argc - 1, argv + 1);
		}
	}
	fail(2, "usage: rankshift-pages source CGROUP_DIR [ADDRESS PORT] | store DIR [ADDRESS LOW-PORT HIGH-PORT SOURCE] | serve DIR WORK_DIR CGROUP_DIR | take DIR WORK_DIR CGROUP_DIR ADDRESS LOW-PORT HIGH-PORT SOURCE | checksum DIR | sum CGROUP_DIR FILE | compare CGROUP_DIR FILE | ratio CGROUP_DIR | soft-dirty CGROUP_DIR MS | split CGROUP_DIR | probe");
}
