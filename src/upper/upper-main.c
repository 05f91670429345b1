#include <string.h>

#include "../init/arguments.h"
#include "upper.h"

int main(int argc, char **argv)
{
	program_name = "rankshift-upper";
	if (argc >= 2 && strcmp(argv[1], "source") == 0)
		return source(argc - 1, argv + 1);
	if (argc >= 2 && strcmp(argv[1], "target") == 0)
		return target(argc - 1, argv + 1);
	fail(2, "usage: rankshift-upper source DIRECTORY CGROUP_DIR | target DIRECTORY STAGE");
}
