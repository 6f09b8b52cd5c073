/* sluice-switch: main(). */
#include "base/help.h"
#include "switch/switch.h"

int main(int argc, char **argv)
{
	help_init();
	return switch_main(argc, argv);
}
