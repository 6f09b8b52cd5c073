/* The gateway's MAC: one for every subnet of every network (docs/API.md, "State").
 *
 * What the platform itself sends to NICs has it, by whatever path it comes: answers of DHCP and metadata, probes, router
 * advertisements. Nobody else may send from it: switches and NICs' anti-spoofing see to that.
 */
#pragma once

/* Initialiser of six bytes. */
#define GATEWAY_MAC                                                                                          \
	{                                                                                                    \
		0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc                                                           \
	}
