/* VM ports whose guests come and go while the ports do: what librte_vhost has freed is not used again. */
#include "base/log.h"
#include "switch/eal.h"
#include "switch/port.h"

#include <glib/gstdio.h>
#include <poll.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ROUNDS 10000

struct rig {
	struct rte_mempool *pool;
	struct rte_rcu_qsbr *readers;
	char *path; /* Owned: of the socket */
};

/* ---- the end that QEMU has ---- */

static int guest_listen(const struct rig *rig)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	g_strlcpy(address.sun_path, rig->path, sizeof address.sun_path);
	g_assert_cmpint(bind(listener, (struct sockaddr *)&address, sizeof address), ==, 0);
	g_assert_cmpint(listen(listener, 16), ==, 0);
	return listener;
}

static void guest_stop_listening(const struct rig *rig, int listener)
{
	close(listener);
	g_unlink(rig->path);
}

/* Returns when the switch has begun to take the connection down. */
static void guest_die(int connection)
{
	struct pollfd seen = {.fd = connection};

	shutdown(connection, SHUT_WR);
	g_assert_cmpint(poll(&seen, 1, 5000), ==, 1);
	close(connection);
}

/* ---- tests ---- */

static void test_again(const void *data)
{
	const struct rig *rig = data;
	struct port *port = vhost_open(rig->path, rig->pool, rig->readers);
	int connection;

	g_assert_null(port->error);
	for (unsigned i = 0; i < 3; i++) {
		int listener = guest_listen(rig);
		for (unsigned tries = 0; (connection = accept(listener, NULL, NULL)) < 0; tries++) {
			g_assert_cmpuint(tries, <, 50);
			g_usleep(20000);
			port->ops->tick(port);
		}
		g_assert_cmpint(port->ops->state(port), ==, PORT_WAITING); /* its rings are never set up */
		guest_stop_listening(rig, listener);
		guest_die(connection);
	}
	port->ops->close(port);
}

/* Shorter than any sleep. */
static void spin(unsigned us)
{
	int64_t until = g_get_monotonic_time() + us;

	while (g_get_monotonic_time() < until)
		;
}

static void test_close(const void *data)
{
	const struct rig *rig = data;

	for (unsigned i = 0; i < ROUNDS; i++) {
		int listener = guest_listen(rig);
		struct port *port = vhost_open(rig->path, rig->pool, rig->readers);
		int connection = accept(listener, NULL, NULL);
		g_assert_cmpint(connection, >=, 0);
		guest_stop_listening(rig, listener);
		guest_die(connection);
		spin((unsigned)g_test_rand_int_range(0, 20));
		port->ops->close(port);
	}
	int listener = guest_listen(rig);
	struct pollfd late = {.fd = listener, .events = POLLIN};
	g_assert_cmpint(poll(&late, 1, 1500), ==, 0); /* nobody is left who would connect */
	guest_stop_listening(rig, listener);
}

int main(int argc, char **argv)
{
	const struct eal_config eal = {.workers = 1, .memory_mib = 32, .hugepages = EAL_HUGEPAGES_OFF};
	g_autoptr(GError) error = NULL;
	struct rig rig = {};
	g_autofree char *folder = NULL;
	bool hugepages;

	g_test_init(&argc, &argv, NULL);
	log_init("vhost_test");
	if (!eal_start(&eal, &hugepages, &error) || !(rig.pool = eal_pool_new(&eal, &error)))
		g_error("%s", error->message);
	rig.readers = g_aligned_alloc0(1, rte_rcu_qsbr_get_memsize(1), RTE_CACHE_LINE_SIZE);
	g_assert_cmpint(rte_rcu_qsbr_init(rig.readers, 1), ==, 0);
	folder = g_dir_make_tmp("sluice-vhost-XXXXXX", NULL);
	rig.path = g_build_filename(folder, "vhost.sock", NULL);
	g_test_add_data_func("/vhost/a guest that dies is connected to again", &rig, test_again);
	g_test_add_data_func("/vhost/a guest may die while its port is closed", &rig, test_close);
	int status = g_test_run();
	g_rmdir(folder);
	g_free(rig.path);
	g_aligned_free(rig.readers);
	eal_stop();
	return status;
}
