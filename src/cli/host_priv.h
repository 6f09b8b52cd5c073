/* What the files of `sluice host` share. */
#pragma once

/* host_add.c: makes the certificate by which a host takes part in the cloud, or renews it; says where it is.
 * state_option: as for cli_state_dir(). An exit status. */
int host_add(const char *state_option, const char *name);
