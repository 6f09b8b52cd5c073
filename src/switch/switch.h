/* The program: sluice-switch.
 *
 * One thread runs GLib's main loop (control socket, clock, signals), one more each worker; librte_vhost has
 * its own. See datapath.h for what passes between them.
 */
#pragma once

/* Runs the program with its command line; returns its exit status: 0 after SIGTERM or SIGINT, 1 when it
 * cannot start, 2 for a bad command line. */
int switch_main(int argc, char **argv);
