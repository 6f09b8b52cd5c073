/* Test support: stands in for the switch at a NIC's vhost-user socket. It answers all that QEMU needs to
 * build and run the device and to migrate it, and moves no packet. */
#pragma once
#include <glib.h>
#include <stdbool.h>

struct vhost_peer;

/* Keeps trying to connect until the socket exists, and again after QEMU closed the connection, as the switch
 * does. */
struct vhost_peer *vhost_peer_new(const char *socket_path);
void vhost_peer_free(struct vhost_peer *peer);

/* Whether the guest's driver has set up its rings. */
bool vhost_peer_is_ready(struct vhost_peer *peer);
