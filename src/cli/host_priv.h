/* What the files of `sluice host` share. */
#pragma once
#include <stdbool.h>

/* host_add.c: makes the certificate by which a host takes part in the cloud, or renews it; says where it is.
 * state_option: as for cli_state_dir(). An exit status. */
int host_add(const char *state_option, const char *name);

/* host_domain.c: tells the controller that the host fails together with others of that fault domain; NULL: with none. */
int host_domain(const char *state_option, const char *host, const char *domain, bool as_json);

/* host_drain.c: takes all functions of this host back, once guests have acknowledged that or after notice_s, and waits
 * `timeout_s` more at most until no NIC has one; and gives them again. Exit statuses; CLI_FAILED when some NIC still has one.
 * migrate: then moves all VMs that run here to other hosts, by the controller, which must be this machine's. */
int host_drain(const char *state_option, unsigned notice_s, unsigned timeout_s, bool migrate, bool as_json);
int host_undrain(const char *state_option, bool as_json);

/* host_setup.c: argv[0] is "host setup". */
int host_setup(int argc, char **argv);
