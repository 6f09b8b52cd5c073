/* Flows in words: what flow_query.c and trace.c show of keys and actions. New references. */
#pragma once
#include "switch/flow.h"
#include "switch/snapshot.h"

/* Protocols that have a word: "tcp udp icmp esp ah". Both ICMPs are "icmp". NULL: it has none. */
const char *flow_protocol_word(uint8_t protocol);
/* The number of a word, of a whole number below 256, or -1. */
int flow_protocol_parse(const char *text);

/* The word, or the number as text. */
json_t *flow_protocol_encode(uint8_t protocol);
/* "outbound": a NIC sends it; "inbound": it came by an edge. */
const char *flow_direction_word(const struct flow_key *key);
/* "vxlan 4096", "vlan 100 of physnet1", "untagged on physnet1" */
char *flow_segment_format(const struct snapshot *snapshot, uint32_t segment);
/* ["source 203.0.113.10", "source port 40001", "hop", "outside by 203.0.113.1"]; of ICMP, the port is the identifier */
json_t *flow_actions_encode(const struct snapshot *snapshot, const struct flow_action *action);
/* {"protocol","src","dst","sport","dport"} */
json_t *flow_key_encode(const struct flow_key *key);
/* "tcp 192.168.1.4:1234 > 10.0.0.5:22", "icmp 192.168.1.4 > 10.0.0.5" */
char *flow_key_format(const struct flow_key *key);
