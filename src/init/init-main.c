/*
 * rankshift-init: PID 1 of a rank container, and under the name rsh the launcher's remote shell between the containers
 * of a job (Open MPI's plm_ssh_agent, MPICH's -launcher-exec). docs/c-programs.md is its contract.
 */
#include <string.h>

#include "arguments.h"
#include "pid1.h"

int main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *name = slash != NULL ? slash + 1 : argc > 0 ? argv[0] : "";
	if (strcmp(name, "rsh") == 0) {
		program_name = "rsh";
		return rsh(argc, argv);
	}
	program_name = "rankshift-init";
	return pid1(argc, argv);
}
