/* What the files of `sluice host` share. */
#pragma once
#include <stdbool.h>

/* host_show.c: prints the network devices of this host. An exit status, as all here return. */
int host_show(bool as_json);

/* host_add.c: makes the certificate by which a host takes part in the cloud, or renews it; says where it is.
 * state_option: as for cli_state_dir(). An exit status. */
int host_add(const char *state_option, const char *name, bool as_json);

/* host_domain.c: tells the controller that the host fails together with others of that fault domain; NULL: with none. */
int host_domain(const char *state_option, const char *host, const char *domain, bool as_json);

struct drain_plan {
	unsigned notice_s; /* guests have so long to acknowledge it, at most */
	unsigned timeout_s; /* to wait after that */
	bool force; /* guests that do not let go have their functions cut off, which is waited for then */
	bool migrate; /* then move all VMs that run here to other hosts, by the controller, which must be this machine's */
};
/* host_drain.c: takes all functions of this host back, and waits until no NIC has one; and gives them again. Exit statuses;
 * CLI_FAILED when some NIC still has one that packets pass. */
int host_drain(const char *state_option, const struct drain_plan *plan, bool as_json);
int host_undrain(const char *state_option, bool as_json);

/* host_setup.c: argv[0] is "host setup". */
int host_setup(int argc, char **argv);
