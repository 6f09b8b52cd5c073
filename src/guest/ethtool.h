/* The private statistics of a network interface, as `ethtool -S` shows them. */
#pragma once
#include "guest/accel.h"

#include <stdbool.h>

/* The five vf_* values, which of all drivers only Hyper-V's netvsc has; false when the interface has none of
 * them or cannot be asked. ret is set only on success. */
bool ethtool_vf_statistics(const char *netdev, struct accel_counters *ret);
