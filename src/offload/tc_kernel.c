/* The kernel's end of tc, by netlink: see tc_kernel.h. */
#include "offload/tc_kernel.h"

#include "base/fault.h"

#include <errno.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#define RECEIVE_BYTES (8 << 20) /* answers and echoes of one buffer, with what the kernel counts for each */

struct netlink {
	struct tc_kernel kernel;
	struct nl_sock *socket; /* Owned */
};

static int fd_of(struct tc_kernel *kernel)
{
	return nl_socket_get_fd(((struct netlink *)kernel)->socket);
}

static int netlink_send(struct tc_kernel *kernel, const void *bytes, size_t size)
{
	ssize_t sent;

	do
		sent = send(fd_of(kernel), bytes, size, 0);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

static ssize_t netlink_receive(struct tc_kernel *kernel, void *buffer, size_t size)
{
	ssize_t got;

	do
		got = recv(fd_of(kernel), buffer, size, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static void netlink_close(struct tc_kernel *kernel)
{
	struct netlink *netlink = (struct netlink *)kernel;

	g_clear_pointer(&netlink->socket, nl_socket_free);
	g_free(netlink);
}

static const struct tc_kernel_ops netlink_ops = {
	.send = netlink_send, .receive = netlink_receive, .close = netlink_close};

static int set_options(int fd, size_t send_bytes)
{
	const int send = (int)send_bytes, receive = RECEIVE_BYTES, on = 1;

	/* Without the right to go beyond the system's limit, as far as that goes. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &send, sizeof send) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send, sizeof send);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive, sizeof receive) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive, sizeof receive);
	return setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on) < 0 ||
			       setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on) < 0
		       ? -errno
		       : 0;
}

struct tc_kernel *tc_kernel_open(size_t send_bytes, GError **error)
{
	struct netlink *netlink = g_new0(struct netlink, 1);
	_cleanup_(tc_kernel_close) struct tc_kernel *kernel = &netlink->kernel;

	kernel->ops = &netlink_ops;
	netlink->socket = nl_socket_alloc();
	if (!netlink->socket)
		g_error("no memory for a netlink socket");
	int status = nl_connect(netlink->socket, NETLINK_ROUTE);
	if (status < 0) {
		fault_set(error, FAULT_INTERNAL, "tc: cannot open a netlink socket: %s", nl_geterror(status));
		return NULL;
	}
	status = set_options(fd_of(kernel), send_bytes);
	if (status < 0) {
		fault_set(error, FAULT_UNSUPPORTED,
			"tc: cannot have netlink answer in short: %s; the kernel must be 4.12 or newer",
			g_strerror(-status));
		return NULL;
	}
	kernel->port = nl_socket_get_local_port(netlink->socket);
	return g_steal_pointer(&kernel);
}
