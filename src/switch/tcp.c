/* TCP's windows, loosely: see tcp.h. */
#include "switch/tcp.h"

#include "switch/parse.h"

#define OPTION_END   0
#define OPTION_NOP   1
#define OPTION_SCALE 3
#define WINDOW_MAX   65535u /* before it is scaled */

/* The shift that a SYN's options tell (RFC 7323, section 2.2); 0 when they do not: windows are as they stand.
 * Where it is not sure that they can be read, the largest. */
static unsigned shift_of(const struct packet *parsed, const uint8_t *tcp)
{
	uint32_t length = (uint32_t)(tcp[TCP_OFFSET] >> 4) * 4;

	if (parsed->flags & PACKET_FRAGMENT_FIRST || parsed->l4 + length > PARSE_CONTIGUOUS)
		return TCP_SHIFT_MAX;
	for (uint32_t i = TCP_MIN; i < length && tcp[i] != OPTION_END;) {
		if (tcp[i] == OPTION_NOP) {
			i++;
			continue;
		}
		if (i + 1 >= length || tcp[i + 1] < 2 || i + tcp[i + 1] > length)
			break;
		if (tcp[i] == OPTION_SCALE && tcp[i + 1] == 3)
			return tcp[i + 2] < TCP_SHIFT_MAX ? tcp[i + 2] : TCP_SHIFT_MAX;
		i += tcp[i + 1];
	}
	return 0;
}

uint32_t tcp_begin(uint32_t word, const struct packet *parsed, const uint8_t *frame)
{
	const uint8_t *tcp = frame + parsed->l4;

	if (!(parsed->tcp_flags & TCP_SYN) || tcp_flags_seen(word) & TCP_ACK)
		return word;
	return tcp_mark(load32(tcp + TCP_SEQUENCE)) | (shift_of(parsed, tcp) + 1) << 8 | tcp_flags_seen(word);
}

/* Sequence numbers wrap. */
static bool is_between(uint32_t first, uint32_t place, uint32_t last)
{
	return place - first <= last - first;
}

void tcp_window(uint32_t back, uint32_t *ret_first, uint32_t *ret_last)
{
	*ret_first = tcp_mark(back) - TCP_MARK_GRAIN; /* an RST may answer what was sent before the last */
	*ret_last = tcp_mark(back) + TCP_MARK_GRAIN + (WINDOW_MAX << tcp_shift(back));
}

/* The sequence number behind the packet's data, which a FIN has. */
static uint32_t end_of(const struct packet *parsed, const uint8_t *tcp)
{
	uint32_t headers = (uint32_t)(parsed->l4 - parsed->l3) + (uint32_t)(tcp[TCP_OFFSET] >> 4) * 4;

	return load32(tcp + TCP_SEQUENCE) + (parsed->l3_length > headers ? parsed->l3_length - headers : 0);
}

bool tcp_believes(uint32_t back, const struct packet *parsed, const uint8_t *frame)
{
	const uint8_t *tcp = frame + parsed->l4;
	bool reset = parsed->tcp_flags & TCP_RST;
	uint32_t first, last;

	if (tcp_flags_seen(back) == 0)
		return true; /* the other side has not spoken: there is nothing to hold it against */
	tcp_window(back, &first, &last);
	if (tcp_flags_seen(back) & TCP_ACK)
		return is_between(first, reset ? load32(tcp + TCP_SEQUENCE) : end_of(parsed, tcp), last);
	/* Its SYN is under way: an answer to that, which may have had data (RFC 7413), or nothing. */
	return reset && parsed->tcp_flags & TCP_ACK &&
	       is_between(
		       tcp_mark(back), load32(tcp + TCP_ACKNOWLEDGED), tcp_mark(back) + 2 * TCP_MARK_GRAIN);
}
