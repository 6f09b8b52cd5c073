/* What the files of `sluice host` share. */
#pragma once
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

/* host_show.c: prints the network devices of this host, and which VMs have their VFs where its agent runs. state_option: as for
 * cli_state_dir(), here and below. An exit status, as all here return. */
int host_show(const char *state_option, bool as_json);
/* Its parts. Adds the name of the VM that has it as "vm" to each VF of what inventory_encode gave, as this host's agent knows it; none
 * where no agent runs, and for a user whom it does not answer. */
void host_add_vms(const char *state_option, json_t *encoded);
/* Prints as text the devices (struct nic_pf), and the same encoded, with each one's "enforcement" and VMs as above. */
void host_print(const GPtrArray *pfs, const json_t *encoded);

/* host_list.c: prints the hosts of the cloud, by name. An exit status. */
int host_list(const char *state_option, bool as_json);

/* host_add.c: makes the certificate by which a host takes part in the cloud, or renews it; says where it is. An exit status. */
int host_add(const char *state_option, const char *name, bool as_json);
/* It may be one of a host, which is also a file's here: FAULT_INVALID. */
bool host_check_name(const char *name, GError **error);

/* host_domain.c: tells the controller that the host fails together with others of that fault domain; NULL: with none. */
int host_domain(const char *state_option, const char *host, const char *domain, bool as_json);

/* host_remove.c: takes a host that does not report out of the cloud, and its certificates off this machine. lost: with the
 * machines that it has. Of a host that the controller does not know it takes the certificates alone, if there are any: a
 * command that was cut off is repeated. An exit status. */
int host_remove(const char *state_option, const char *host, bool lost, bool as_json);

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
