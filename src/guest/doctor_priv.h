/* Parts of the guest's doctor: each looks at one matter and adds what it finds. */
#pragma once
#include "guest/doctor.h"

/* doctor_driver.c: whether a function has its driver, and if not, whether the kernel has it. */
void doctor_check_driver(const char *root, const struct function *function, GPtrArray *findings);

/* doctor_kernel.c: whether the kernel (as `uname -r`) is old for its distribution. */
void doctor_check_kernel(const char *root, const char *kernel, GPtrArray *findings);

/* doctor_manager.c: who configures the NIC, and that nobody configures its lower interfaces. */
void doctor_check_manager(const char *root, const struct accel_nic *nic, GPtrArray *findings);

/* doctor_traffic.c: queues, interrupts and counters of a NIC's VF that is up. */
void doctor_check_traffic(const char *root, const struct accel_nic *nic, GPtrArray *findings);
