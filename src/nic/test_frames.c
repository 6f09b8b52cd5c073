/* Frames by packet sockets. */
#include "nic/test_frames.h"

#include <arpa/inet.h>
#include <glib.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

int frames_listen(const char *name)
{
	const int index = (int)if_nametoindex(name);
	struct sockaddr_ll address = {AF_PACKET, htons(ETH_P_ALL), index};
	struct packet_mreq promiscuous = {.mr_ifindex = index, .mr_type = PACKET_MR_PROMISC};
	const int yes = 1;
	struct timeval timeout = {.tv_usec = 100000};
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));

	g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
	g_assert_cmpint(
		setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous), ==, 0);
	g_assert_cmpint(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &yes, sizeof yes), ==, 0);
	g_assert_cmpint(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), ==, 0);
	return fd;
}

bool frames_broadcast_arrives(int fd, int sender, unsigned vlan)
{
	uint8_t frame[64] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0x99, 0x81, 0x00, 0,
		(uint8_t)vlan, 0x88, 0xb5, 42};
	uint8_t got[2048];

	g_assert_cmpint(send(sender, frame, sizeof frame, 0), ==, sizeof frame);
	int64_t deadline = g_get_monotonic_time() + G_USEC_PER_SEC;
	while (g_get_monotonic_time() < deadline) {
		ssize_t n = recv(fd, got, sizeof got, 0);
		/* The kernel has taken the tag off. */
		if (n >= 16 && memcmp(got, frame, 12) == 0 && memcmp(got + 12, frame + 16, 3) == 0)
			return true;
	}
	return false;
}

int frames_vlan_of_broadcast(int fd, int sender)
{
	uint8_t frame[64] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x0d, 0x3a, 0, 0, 0x0a, 0x88, 0xb5, 42};
	uint8_t got[2048], control[256];
	struct iovec vector = {got, sizeof got};

	g_assert_cmpint(send(sender, frame, sizeof frame, 0), ==, sizeof frame);
	int64_t deadline = g_get_monotonic_time() + G_USEC_PER_SEC;
	while (g_get_monotonic_time() < deadline) {
		struct msghdr message = {.msg_iov = &vector,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof control};
		ssize_t n = recvmsg(fd, &message, 0);
		const struct cmsghdr *header = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
		if (n < 15 || memcmp(got, frame, 15) != 0 || !header)
			continue;
		struct tpacket_auxdata data;
		memcpy(&data, CMSG_DATA(header), sizeof data);
		return data.tp_status & TP_STATUS_VLAN_VALID ? data.tp_vlan_tci & 0xfff : 0;
	}
	return -1;
}
