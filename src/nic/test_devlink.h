/* For tests: devlink with NICs that are made up, as a kernel whose drivers have eswitches would answer. */
#pragma once
#include "nic/devlink.h"

#include <stddef.h>

#define TEST_REPRESENTORS 4

/* A NIC with an eswitch. Texts Borrowed. */
struct test_eswitch {
	const char *handle; /* "pci/0000:03:00.0" */
	struct devlink_eswitch is; /* what it shows */
	const char *firmware, *steering; /* NULL: it tells none */
	const char *refusal; /* what its driver says instead of taking another mode; NULL: it takes it */
	const char *representors[TEST_REPRESENTORS]; /* of its VFs by number, while its mode is switchdev */
};

/* The NICs are the caller's, and changed by what is set. */
struct genl *test_devlink_open(struct test_eswitch *eswitches, size_t n);
