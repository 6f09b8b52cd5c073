/* Image store: the disks that virtual machines start from, a folder each.
 *
 *     IMAGE_DIR/ID/manifest.json   what the image is (image_load reads it)
 *     IMAGE_DIR/ID/disk.qcow2      the root disk; VMs get an overlay on it, it is never written to
 *     IMAGE_DIR/ID/vmlinux         optional: kernel for direct boot (an ELF with a PVH entry, or a bzImage)
 *     IMAGE_DIR/ID/initrd.cpio     optional: its initial RAM disk
 *     IMAGE_DIR/aliases.json       names that clients use for images (vm/image_alias.h)
 *
 * An image appears and goes in one rename of its folder, so a reader sees all of it or nothing; folders whose
 * name starts with a dot are being made or removed, and are no images. An image never changes: overlays
 * depend on it, so another version is another id.
 */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define IMAGE_ID_MAX 64

/* Strings Owned; a string that the manifest leaves out is NULL. Paths are absolute when image_dir is. */
struct image {
	char *id;
	char *description; /* one sentence for people: what really is inside */
	char *disk_path;
	char *disk_format; /* always "qcow2" */
	char *kernel_path; /* NULL: the disk boots by itself (firmware and boot loader) */
	char *initrd_path; /* NULL: none; set only with kernel_path */
	char *cmdline; /* kernel command line; NULL when kernel_path is */
	char *cmdline_tcg; /* added to it where the CPU is emulated; see image_cmdline */
	char *os; /* "linux" */
	char *built_from; /* what it was made from: a package and its version, or the name of an imported file
			   */
	char *version; /* "1.0.20261116": as clients see it */
	bool accelerated; /* the guest pairs a virtio standby with a primary (net_failover and VF drivers) */
	uint64_t virtual_bytes; /* size of the disk as a guest sees it */
};

void image_free(struct image *image);
CLEANUP_FUNC(struct image *, image_free)

/* An id is 1 to IMAGE_ID_MAX of a-z, A-Z, 0-9, '.', '_' and '-', and starts with a letter or digit. */
bool image_id_is_valid(const char *id);
/* Whether there can be such names of an image; NULL: none is asked about. FAULT_INVALID. */
bool image_check_names(const char *id, const char *alias, const char *urn, GError **error);

/* FAULT_NOT_FOUND: there is no such image. FAULT_INVALID: the id or the manifest is malformed, or the disk is
 * not whole; files that the manifest names must lie in the image's folder. */
struct image *image_load(const char *image_dir, const char *id, GError **error);

/* All images, by id: GPtrArray of struct image. A folder without a sound manifest is logged and left out. A
 * store that does not exist yet is empty. */
GPtrArray *image_list(const char *image_dir, GError **error);

/* Kernel command line for direct boot, `tcg`: the CPU is emulated. Owned by the caller; NULL when the image
 * boots by itself. What only helps an emulated CPU (and would weaken a real one, such as mitigations=off) is
 * in cmdline_tcg. */
char *image_cmdline(const struct image *image, bool tcg);

struct image_import {
	const char *id;
	const char *source; /* path of a qcow2 file */
	const char *description; /* NULL: made from the file's name */
	bool accelerated; /* the caller knows that the guest has the drivers */
};

/* Copies a qcow2 disk into the store. Only whole ones are taken (vm/image_qcow2.h says why): a backing file,
 * an external data file or encryption is FAULT_INVALID. FAULT_EXISTS when the id is taken. */
bool image_import(const char *image_dir, const struct image_import *import, GError **error);

/* FAULT_NOT_FOUND when there is none, FAULT_IN_USE when an alias stands for it. VMs that run from it keep
 * their open files but cannot start again; the caller checks that none is left. */
bool image_remove(const char *image_dir, const char *id, GError **error);
