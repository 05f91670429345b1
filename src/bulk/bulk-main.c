#include "bulk.h"

#include <string.h>

#include "../init/arguments.h"

int main(int argc, char **argv)
{
	program_name = "rankshift-bulk";
	if (argc > 1 && strcmp(argv[1], "send") == 0)
		return send_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "receive") == 0)
		return receive_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "load") == 0)
		return load_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "sink") == 0)
		return sink_main(argc - 1, argv + 1);
	fail(2, "usage: rankshift-bulk send|receive|load|sink ...");
}
