/* The header of a qcow2 disk. */
#include "vm/image_qcow2.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Offsets in the header; all numbers are big-endian. */
enum {
	AT_MAGIC = 0,
	AT_VERSION = 4,
	AT_BACKING_OFFSET = 8,
	AT_SIZE = 24,
	AT_CRYPT_METHOD = 32,
	HEADER_V2 = 72,
	AT_INCOMPATIBLE = 72,
	HEADER_V3 = 104,
};

#define MAGIC "QFI\xfb"

/* Incompatible features (header version 3). */
#define FEATURE_DIRTY         (1u << 0) /* reference counts are to be repaired; harmless to readers */
#define FEATURE_CORRUPT       (1u << 1)
#define FEATURE_EXTERNAL_DATA (1u << 2)
#define FEATURE_COMPRESSION   (1u << 3) /* a compression type other than zlib */
#define FEATURE_EXTENDED_L2   (1u << 4)
#define FEATURES_ACCEPTED     (FEATURE_DIRTY | FEATURE_COMPRESSION | FEATURE_EXTENDED_L2)

static uint32_t get_be32(const unsigned char *header, size_t at)
{
	uint32_t value;

	memcpy(&value, header + at, sizeof(value));
	return GUINT32_FROM_BE(value);
}

static uint64_t get_be64(const unsigned char *header, size_t at)
{
	uint64_t value;

	memcpy(&value, header + at, sizeof(value));
	return GUINT64_FROM_BE(value);
}

/* Bytes of the header that are there, at most HEADER_V3; -errno. */
static ssize_t read_header(const char *path, unsigned char header[static HEADER_V3])
{
	/* Not to wait for a FIFO's writer; a regular file is what it has to be. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	ssize_t length = fd < 0 || fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;

	if (length == 0) {
		length = pread(fd, header, HEADER_V3, 0);
		if (length < 0)
			length = -errno;
	}
	if (fd >= 0)
		close(fd);
	return length;
}

static bool check_features(const char *path, const unsigned char *header, GError **error)
{
	uint64_t features = get_be64(header, AT_INCOMPATIBLE);

	if (features & FEATURE_EXTERNAL_DATA)
		return fault_set(error, FAULT_INVALID,
			"%s keeps its data in another file; make it whole with `qemu-img convert -O qcow2`",
			path);
	if (features & FEATURE_CORRUPT)
		return fault_set(error, FAULT_INVALID,
			"%s is marked corrupt; repair it with `qemu-img check -r all`", path);
	if (features & ~(uint64_t)FEATURES_ACCEPTED)
		return fault_set(error, FAULT_INVALID,
			"%s has qcow2 features that are not known (0x%" G_GINT64_MODIFIER "x)", path,
			features);
	return true;
}

static bool check(const char *path, bool overlay, uint64_t *ret_virtual_bytes, GError **error)
{
	unsigned char header[HEADER_V3] = {};
	ssize_t length = read_header(path, header);

	if (length < 0)
		return fault_set(error, length == -ENOENT ? FAULT_NOT_FOUND : FAULT_INVALID,
			"%s cannot be read: %s", path, g_strerror((int)-length));
	if (length < HEADER_V2 || memcmp(header + AT_MAGIC, MAGIC, strlen(MAGIC)) != 0)
		return fault_set(error, FAULT_INVALID,
			"%s is no qcow2 disk; make one with `qemu-img convert -O qcow2`", path);

	uint32_t version = get_be32(header, AT_VERSION);

	if (version != 2 && (version != 3 || length < HEADER_V3))
		return fault_set(error, FAULT_INVALID, "%s has a qcow2 header that is not known (version %u)",
			path, version);
	if (overlay && get_be64(header, AT_BACKING_OFFSET) == 0)
		return fault_set(error, FAULT_INVALID, "%s is no overlay on an image", path);
	if (!overlay && get_be64(header, AT_BACKING_OFFSET) != 0)
		return fault_set(error, FAULT_INVALID,
			"%s is an overlay on a backing file; make it whole with `qemu-img convert -O qcow2`",
			path);
	if (get_be32(header, AT_CRYPT_METHOD) != 0)
		return fault_set(error, FAULT_INVALID, "%s is encrypted; decrypt it first", path);
	if (version == 3 && !check_features(path, header, error))
		return false;
	*ret_virtual_bytes = get_be64(header, AT_SIZE);
	return true;
}

bool image_qcow2_check(const char *path, uint64_t *ret_virtual_bytes, GError **error)
{
	return check(path, false, ret_virtual_bytes, error);
}

bool image_qcow2_check_overlay(const char *path, GError **error)
{
	uint64_t virtual_bytes;

	return check(path, true, &virtual_bytes, error);
}
