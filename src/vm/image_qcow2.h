/* The header of a qcow2 disk, read by ourselves.
 *
 * QEMU opens, as root and before anyone can object, whatever other file a qcow2 names: its backing file or
 * its external data file (CVE-2024-4467 is about `qemu-img info` doing so). So no QEMU tool gets to see a
 * disk from outside before this has looked at it. Source: QEMU docs/interop/qcow2.txt.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Checks that the file is a qcow2 disk that stands alone, and gives its size as a guest sees it.
 * FAULT_INVALID with the reason when it is none or names another file, is encrypted, marked corrupt or of
 * features that are not known. */
bool image_qcow2_check(const char *path, uint64_t *ret_virtual_bytes, GError **error);
/* The same of a disk that lies on another file, and on nothing else. */
bool image_qcow2_check_overlay(const char *path, GError **error);
