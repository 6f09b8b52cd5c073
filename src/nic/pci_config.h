/* A PCI function's configuration space, as sysfs shows it: which capabilities it has.
 * Source: PCI Express Base Specification 4.0, 7.5.3 (PCI Express), 7.8.1 (extended), 9.3.3 (SR-IOV). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCI_CONFIG_SIZE 4096 /* of which users but root are shown 64 bytes */

struct pci_config {
	uint8_t bytes[PCI_CONFIG_SIZE];
	size_t length; /* that could be read; 0: nothing */
};

/* root: see base/sysfs.h. What cannot be read is absent. */
void pci_config_read(const char *root, const char *address, struct pci_config *ret);

/* Whether all of it could be read, so that "absent" means absent. */
bool pci_config_is_whole(const struct pci_config *config);

/* TotalVFs of the SR-IOV capability; 0 without one. The kernel may allow fewer, or be built without SR-IOV. */
unsigned pci_config_total_vfs(const struct pci_config *config);

/* For a bridge: whether it passes on ARI requests, so that a function below it can have more than eight functions on
 * its bus. */
bool pci_config_forwards_ari(const struct pci_config *config);

/* For a bridge: whether it can keep the devices below it apart (ACS: source validation, redirection of requests and
 * completions, upstream forwarding). Without, they share an IOMMU group, but for chips that the kernel knows better.
 * Source: Linux drivers/pci/pci.c, pci_acs_enabled(); PCI Express 4.0, 7.7.8. */
bool pci_config_isolates(const struct pci_config *config);
