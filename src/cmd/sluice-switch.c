/* sluice-switch: main(). */
#include "switch/switch.h"

int main(int argc, char **argv)
{
	return switch_main(argc, argv);
}
