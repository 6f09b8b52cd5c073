/* What a VM keeps in its directory: disk and console log. */
#pragma once
#include "vm/image.h"
#include "vm/vm.h"

/* Makes the directory (mode 0711, parents too; a parent with the set-group-id bit hands its group down to the
 * directory and to the sockets in it, which QEMU makes group-writable: so a switch with a user of its own
 * gets in) and in it the disk, a qcow2 overlay on the image's of disk_gib (0: as big as the image). What
 * exists is kept; a disk appears whole or not at all. FAULT_INVALID: disk_gib is smaller than the image's
 * disk. Blocks while qemu-img runs. */
bool vm_files_prepare(const struct vm_spec *spec, const struct image *image, GError **error);

/* Puts the file, another host's disk for the same spec and image, in the place of the VM's disk, as an overlay on the image
 * here. It is looked at before any tool of QEMU's opens it. On stable storage on success; FAULT_INVALID: it is no such disk.
 * Blocks while qemu-img runs. */
bool vm_files_take_disk(
	const struct vm_spec *spec, const struct image *image, const char *path, GError **error);

/* Before a start: a console log of more than VM_CONSOLE_LOG_MAX bytes becomes console.log.1. */
#define VM_CONSOLE_LOG_MAX (8 * 1024 * 1024)
void vm_files_rotate(const char *directory);

/* The same while the machine runs, and writes to the file: its end becomes console.log.1, and it begins anew. What is
 * written in that moment may be lost. */
void vm_files_trim(const char *directory);

/* The last `max` bytes that the guest has written, from the begin of a line if there were more; empty when there is
 * nothing. */
GBytes *vm_files_console(const char *directory, size_t max);

/* Deletes the directory with all that is in it; symbolic links are not followed, and one that is not there is
 * success. */
bool vm_files_remove(const char *directory, GError **error);
