/* What the verb `policy` and its two answers share. */
#pragma once
#include "base/cleanup.h"
#include "policy/policy_state.h"

#include <limits.h>

#define CLI_POLICY_NO_PORT INT_MIN

struct cli_policy_options {
	char *state, *protocol, *source, *destination, *direction; /* Owned */
	int source_port, destination_port; /* CLI_POLICY_NO_PORT: not given */
	gboolean as_json;
};

/* Whether the options can be a packet, as far as they alone tell; else *error. */
bool cli_policy_check_packet(const struct cli_policy_options *options, GError **error);

/* Both print, and return an exit status. */
int cli_policy_effective(const struct cli_policy_options *options, const struct policy_state_nic *nic);
int cli_policy_check(const struct cli_policy_options *options, const struct policy_state_nic *nic);

/* "tcp", "132", "*". Owned by the caller. */
char *cli_policy_protocol(uint8_t protocol);
