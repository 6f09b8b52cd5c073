/* What a machine is to become, from the instance metadata document (Azure's shape, api-version 2021-08-01).
 *
 * The document comes from the network and ends in user names, files and a root shell, so nothing gets through
 * that is not of the expected form: what is malformed counts as absent.
 */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <stddef.h>

#define METADATA_SIZE_MAX (1024 * 1024)

/* Strings Owned; NULL: absent or malformed. */
struct metadata {
	char *vm_id; /* compute.vmId: letters, digits and '-' */
	char *hostname; /* compute.osProfile.computerName, else compute.name: a host name (RFC 1123) of 63 at
			   most */
	char *user; /* compute.osProfile.adminUsername: a Linux user name of 32 at most, not "root" */
	char **keys; /* compute.publicKeys[].keyData: lines that start with a public key's type; never NULL */
};

/* NULL when the text is no JSON object with an object "compute" in it. */
struct metadata *metadata_parse(const char *text, size_t length);
void metadata_free(struct metadata *metadata);
CLEANUP_FUNC(struct metadata *, metadata_free)

/* Assignments for a POSIX shell to eval: vm_id='…', hostname='…', user='…' and keys='…', one key a line.
 * Owned by the caller. */
char *metadata_shell(const struct metadata *metadata);
