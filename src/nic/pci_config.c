/* A PCI function's configuration space. */
#include "nic/pci_config.h"

#include "base/sysfs.h"

#include <string.h>

#define HEADER_SIZE      64
#define CAPABILITIES     0x34 /* offset of the first one's offset */
#define CAP_PCI_EXPRESS  0x10
#define DEVICE_CAP_2     0x24 /* in the PCI Express capability */
#define ARI_FORWARDING   (1u << 5)
#define EXTENDED         0x100 /* the first extended capability */
#define EXT_CAP_ACS      0x0d
#define ACS_CAPABILITY   0x04
#define ACS_ISOLATION    (1u << 0 | 1u << 2 | 1u << 3 | 1u << 4) /* SV, RR, CR, UF */
#define EXT_CAP_SRIOV    0x10
#define SRIOV_TOTAL_VFS  0x0e
#define CAPABILITIES_MAX 512 /* more than fit: a list that leads in circles ends */

void pci_config_read(const char *root, const char *address, struct pci_config *ret)
{
	g_autofree char *path = g_strdup_printf("%s/sys/bus/pci/devices/%s/config", root, address);
	g_autofree char *bytes = NULL;
	gsize length = 0;

	memset(ret, 0, sizeof *ret);
	if (!g_file_get_contents(path, &bytes, &length, NULL))
		return;
	ret->length = MIN(length, PCI_CONFIG_SIZE);
	memcpy(ret->bytes, bytes, ret->length);
}

bool pci_config_is_whole(const struct pci_config *config)
{
	return config->length == PCI_CONFIG_SIZE;
}

/* Little endian; 0 beyond the end. */
static uint32_t read_word(const struct pci_config *config, size_t offset)
{
	uint32_t word = 0;

	for (size_t i = 0; i < 4 && offset + i < config->length; i++)
		word |= (uint32_t)config->bytes[offset + i] << 8 * i;
	return word;
}

/* Offset of a capability; 0: absent. */
static size_t find(const struct pci_config *config, uint8_t id)
{
	size_t offset = read_word(config, CAPABILITIES) & 0xfc;

	for (unsigned i = 0; offset >= HEADER_SIZE && i < CAPABILITIES_MAX; i++) {
		uint32_t word = read_word(config, offset);
		if ((word & 0xff) == id)
			return offset;
		offset = word >> 8 & 0xfc;
	}
	return 0;
}

static size_t find_extended(const struct pci_config *config, uint16_t id)
{
	size_t offset = EXTENDED;

	for (unsigned i = 0; offset >= EXTENDED && i < CAPABILITIES_MAX; i++) {
		uint32_t word = read_word(config, offset);
		if ((word & 0xffff) == id)
			return offset;
		offset = word >> 20 & 0xffc;
	}
	return 0;
}

unsigned pci_config_total_vfs(const struct pci_config *config)
{
	size_t offset = find_extended(config, EXT_CAP_SRIOV);

	return offset ? read_word(config, offset + SRIOV_TOTAL_VFS) & 0xffff : 0;
}

bool pci_config_forwards_ari(const struct pci_config *config)
{
	size_t offset = find(config, CAP_PCI_EXPRESS);

	return offset && read_word(config, offset + DEVICE_CAP_2) & ARI_FORWARDING;
}

bool pci_config_isolates(const struct pci_config *config)
{
	size_t offset = find_extended(config, EXT_CAP_ACS);

	return offset && (read_word(config, offset + ACS_CAPABILITY) & ACS_ISOLATION) == ACS_ISOLATION;
}
