/* Which driver a PCI function has: bound, unbound and chosen by sysfs.
 *
 * Source: Linux Documentation/ABI/testing/sysfs-bus-pci (bind, unbind, driver_override, drivers_probe, reset).
 * root: see base/sysfs.h. All calls are idempotent.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* NULL: none. Owned by the caller. */
char *pci_driver_get(const char *root, const char *address);
/* The only driver that may be bound; NULL: any that fits. Owned by the caller. */
char *pci_driver_get_override(const char *root, const char *address);

bool pci_driver_set_override(const char *root, const char *address, const char *driver, GError **error);

/* Blocks as long as somebody has it open by vfio. */
bool pci_driver_unbind(const char *root, const char *address, GError **error);

/* Binds that driver and no other, also where the kernel is told not to bind VFs by itself (sriov_drivers_autoprobe);
 * NULL: leaves it without. The override is `driver` afterwards. */
bool pci_driver_bind(const char *root, const char *address, const char *driver, GError **error);

/* Resets the function alone; one that is gone is fine. FAULT_UNSUPPORTED when the kernel knows no way to. */
bool pci_driver_reset(const char *root, const char *address, GError **error);

/* Whether the driver hands its devices to programs by vfio: "vfio-pci", "mlx5_vfio_pci". NULL: no. */
bool pci_driver_is_vfio(const char *driver);
