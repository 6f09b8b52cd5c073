/* A vhost-user back end that moves no packet.
 *
 * Source: "Vhost-user Protocol" in QEMU's documentation (docs/interop/vhost-user.rst). A thread connects,
 * answers the requests that want an answer, and closes the descriptors that come with the others.
 */
#include "vm/vhost_peer.h"

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define RETRY_US             20000
#define MAX_QUEUES           8
#define FLAG_VERSION         0x1u
#define FLAG_REPLY           0x4u
#define F_VERSION_1          (1ull << 32)
#define F_MQ                 (1ull << 22)
#define F_LOG_ALL            (1ull << 26)
#define F_PROTOCOL           (1ull << 30)
#define PROTOCOL_F_MQ        (1ull << 0)
#define PROTOCOL_F_LOG_SHMFD (1ull << 1)

enum request {
	GET_FEATURES = 1,
	SET_LOG_BASE = 6,
	GET_VRING_BASE = 11,
	GET_PROTOCOL_FEATURES = 15,
	GET_QUEUE_NUM = 17,
	SET_VRING_ENABLE = 18,
};

struct message {
	uint32_t request, flags, size;
	union {
		uint64_t number;
		struct {
			uint32_t index, num;
		} ring;
		uint8_t bytes[512];
	};
} __attribute__((packed));

#define HEADER_SIZE offsetof(struct message, number)

struct vhost_peer {
	char *path;
	GThread *thread;
	gint stop, ready; /* atomic */
	GMutex lock;
	int fd; /* locked: -1 while not connected */
};

/* Reads one message and closes the descriptors in it; false at the end of the connection. */
static bool receive(int fd, struct message *message)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(16 * sizeof(int))];
	} control;
	struct iovec part = {.iov_base = message, .iov_len = HEADER_SIZE};
	struct msghdr header = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};

	if (recvmsg(fd, &header, MSG_WAITALL | MSG_CMSG_CLOEXEC) != (ssize_t)HEADER_SIZE ||
		message->size > sizeof message->bytes)
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c))
		for (size_t i = 0;
			c->cmsg_type == SCM_RIGHTS && i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int passed;
			memcpy(&passed, CMSG_DATA(c) + i * sizeof passed, sizeof passed);
			close(passed);
		}
	return message->size == 0 ||
	       recv(fd, message->bytes, message->size, MSG_WAITALL) == (ssize_t)message->size;
}

static bool reply(int fd, struct message *message, uint32_t size)
{
	message->flags = FLAG_VERSION | FLAG_REPLY;
	message->size = size;
	return send(fd, message, HEADER_SIZE + size, MSG_NOSIGNAL) == (ssize_t)(HEADER_SIZE + size);
}

static bool answer(struct vhost_peer *peer, int fd, struct message *message)
{
	switch (message->request) {
	case GET_FEATURES: message->number = F_VERSION_1 | F_MQ | F_LOG_ALL | F_PROTOCOL; break;
	case GET_PROTOCOL_FEATURES: message->number = PROTOCOL_F_MQ | PROTOCOL_F_LOG_SHMFD; break;
	case GET_QUEUE_NUM: message->number = MAX_QUEUES; break;
	case SET_LOG_BASE: return reply(fd, message, 0);
	case GET_VRING_BASE: message->ring.num = 0; return reply(fd, message, sizeof message->ring);
	case SET_VRING_ENABLE: g_atomic_int_set(&peer->ready, message->ring.num == 1); return true;
	default: return true;
	}
	return reply(fd, message, sizeof message->number);
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_assert_cmpint(fd, >=, 0);
	g_strlcpy(address.sun_path, path, sizeof address.sun_path);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	close(fd);
	return -1;
}

static void set_fd(struct vhost_peer *peer, int fd)
{
	g_autoptr(GMutexLocker) lock = g_mutex_locker_new(&peer->lock);

	if (peer->fd >= 0)
		close(peer->fd);
	peer->fd = fd;
}

static void *serve(void *data)
{
	struct vhost_peer *peer = data;
	struct message message;

	while (!g_atomic_int_get(&peer->stop)) {
		int fd = connect_to(peer->path);
		if (fd < 0) {
			g_usleep(RETRY_US);
			continue;
		}
		set_fd(peer, fd);
		while (!g_atomic_int_get(&peer->stop) && receive(fd, &message) && answer(peer, fd, &message))
			;
		g_atomic_int_set(&peer->ready, false);
		set_fd(peer, -1);
	}
	return NULL;
}

struct vhost_peer *vhost_peer_new(const char *socket_path)
{
	struct vhost_peer *peer = g_new0(struct vhost_peer, 1);

	peer->path = g_strdup(socket_path);
	peer->fd = -1;
	g_mutex_init(&peer->lock);
	peer->thread = g_thread_new("vhost-peer", serve, peer);
	return peer;
}

void vhost_peer_free(struct vhost_peer *peer)
{
	if (!peer)
		return;
	g_atomic_int_set(&peer->stop, true);
	g_mutex_lock(&peer->lock);
	if (peer->fd >= 0)
		shutdown(peer->fd, SHUT_RDWR);
	g_mutex_unlock(&peer->lock);
	g_thread_join(peer->thread);
	g_mutex_clear(&peer->lock);
	g_free(peer->path);
	g_free(peer);
}

bool vhost_peer_is_ready(struct vhost_peer *peer)
{
	return g_atomic_int_get(&peer->ready);
}
