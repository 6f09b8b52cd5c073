/* Names of the interfaces around a switch (agent/namespaces.h draws them). On the switch's side there is one set in a
 * network namespace. */
#pragma once

#define NAME_OUTSIDE_SWITCH "sl-out"
#define NAME_HOST_SWITCH    "sl-host"
#define NAME_UNDERLAY       "sl-under"
#define NAME_VXLAN          "sl-vxlan"
