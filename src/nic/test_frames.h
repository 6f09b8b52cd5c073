/* For tests in the lab: what goes by a wire from one interface to another. */
#pragma once
#include <stdbool.h>

/* A socket on the interface, as the switch's port is: promiscuous. */
int frames_listen(const char *name);

/* Whether a broadcast that `sender` sends on the VLAN comes to fd within a second, without its tag. */
bool frames_broadcast_arrives(int fd, int sender, unsigned vlan);

/* VLAN of a broadcast that `sender` sends untagged, as it comes to fd; 0: on none; -1: it does not come. */
int frames_vlan_of_broadcast(int fd, int sender);
