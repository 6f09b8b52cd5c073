/* The ports that tc was told of: see tc_ports.h. */
#include "offload/tc_ports.h"

#include "offload/tc_message.h"

struct port {
	struct offload_port is;
	char *why_not; /* Owned: it cannot be had; NULL: it can */
};

struct tc_ports {
	struct tc_socket *socket; /* Borrowed */
	uint32_t flags;
	GArray *all; /* Owned, of struct port */
	GHashTable *devices; /* ifindex → struct tc_device, Owned */
};

/* ---- questions ---- */

static const struct port *find(const struct tc_ports *ports, uint32_t number)
{
	for (guint i = 0; i < ports->all->len; i++) {
		const struct port *port = &g_array_index(ports->all, struct port, i);
		if (port->is.number == number)
			return port;
	}
	return NULL;
}

static int ifindex_of(const struct port *port, bool tunnel)
{
	return !port ? 0 : tunnel ? port->is.tunnel_ifindex : port->is.ifindex;
}

char *tc_ports_find(const struct tc_ports *ports, uint32_t number, bool tunnel, struct tc_way *ret)
{
	const struct port *port = find(ports, number);

	if (port && port->why_not)
		return g_strdup(port->why_not);
	*ret = (struct tc_way){.port = number, .tunnel = tunnel, .ifindex = ifindex_of(port, tunnel)};
	if (ret->ifindex)
		return NULL;
	return g_strdup(port && tunnel ? "the kernel's VXLAN device of the underlay is not there"
				       : "it names a port that the NIC does not have");
}

bool tc_ports_has(const struct tc_ports *ports, const struct tc_way *way)
{
	return ifindex_of(find(ports, way->port), way->tunnel) == way->ifindex;
}

struct tc_device *tc_ports_device(const struct tc_ports *ports, int ifindex)
{
	return g_hash_table_lookup(ports->devices, GINT_TO_POINTER(ifindex));
}

static bool is_named(const struct tc_ports *ports, int ifindex)
{
	for (guint i = 0; i < ports->all->len; i++) {
		const struct offload_port *is = &g_array_index(ports->all, struct port, i).is;
		if (is->ifindex == ifindex || is->tunnel_ifindex == ifindex)
			return true;
	}
	return false;
}

/* ---- changes ---- */

static bool add_device(struct tc_ports *ports, int ifindex, bool is_tunnel, GError **error)
{
	if (!ifindex || tc_ports_device(ports, ifindex))
		return true;
	struct tc_device *device = tc_device_open(ports->socket, ifindex, is_tunnel, ports->flags, error);
	if (device)
		g_hash_table_insert(ports->devices, GINT_TO_POINTER(ifindex), device);
	return device;
}

bool tc_ports_set(struct tc_ports *ports, const struct offload_port *is, unsigned n, GError **error)
{
	GError *first = NULL;

	g_array_set_size(ports->all, 0);
	for (unsigned i = 0; i < n; i++) {
		struct port port = {.is = is[i]};
		g_autoptr(GError) fault = NULL;
		if (!add_device(ports, is[i].ifindex, false, &fault) ||
			!add_device(ports, is[i].tunnel_ifindex, true, &fault)) {
			port.why_not = g_strdup(fault->message);
			first = first ? first : g_steal_pointer(&fault);
		}
		g_array_append_val(ports->all, port);
	}
	if (!first)
		return true;
	g_propagate_error(error, first);
	return false;
}

void tc_ports_tidy(struct tc_ports *ports)
{
	GHashTableIter iter;
	gpointer device;

	g_hash_table_iter_init(&iter, ports->devices);
	while (g_hash_table_iter_next(&iter, NULL, &device)) {
		if (is_named(ports, ((struct tc_device *)device)->ifindex))
			continue;
		tc_device_close(device, ports->socket);
		g_hash_table_iter_remove(&iter);
	}
}

void tc_ports_clear(struct tc_ports *ports)
{
	GHashTableIter iter;
	gpointer device;

	g_hash_table_iter_init(&iter, ports->devices);
	while (g_hash_table_iter_next(&iter, NULL, &device))
		tc_device_clear(device, ports->socket);
}

/* ---- dumps ---- */

/* Of a device that is not there the kernel tells that it has no filters, so it is asked for the device itself, too. */
static bool dump_device(struct tc_ports *ports, struct tc_device *device, const struct tc_hearer *hearer,
	void *data, bool *ret_there)
{
	tc_device_look(device);
	tc_message_dump(tc_socket_message(ports->socket), device->ifindex, false);
	if (tc_socket_dump(ports->socket, 0, hearer, data) < 0)
		return false;
	tc_message_link(tc_socket_message(ports->socket), device->ifindex);
	*ret_there |= tc_socket_do(ports->socket, NULL) == 0;
	return true;
}

bool tc_ports_dump(struct tc_ports *ports, const struct tc_hearer *hearer, void *data)
{
	bool there = g_hash_table_size(ports->devices) == 0;
	GHashTableIter iter;
	gpointer device;

	g_hash_table_iter_init(&iter, ports->devices);
	while (g_hash_table_iter_next(&iter, NULL, &device))
		if (!dump_device(ports, device, hearer, data, &there))
			return false;
	return there;
}

void tc_ports_guard(struct tc_ports *ports)
{
	GHashTableIter iter;
	gpointer device;

	g_hash_table_iter_init(&iter, ports->devices);
	while (g_hash_table_iter_next(&iter, NULL, &device))
		if (!tc_device_has_guards(device))
			tc_device_guard(device, ports->socket, ports->flags);
}

/* ---- life ---- */

static void clear_port(gpointer port)
{
	g_free(((struct port *)port)->why_not);
}

struct tc_ports *tc_ports_new(struct tc_socket *socket, uint32_t flags)
{
	struct tc_ports *ports = g_new0(struct tc_ports, 1);

	ports->socket = socket;
	ports->flags = flags;
	ports->all = g_array_new(false, false, sizeof(struct port));
	g_array_set_clear_func(ports->all, clear_port);
	ports->devices = g_hash_table_new(NULL, NULL);
	return ports;
}

void tc_ports_free(struct tc_ports *ports)
{
	g_array_set_size(ports->all, 0);
	tc_ports_tidy(ports);
	g_array_unref(ports->all);
	g_hash_table_unref(ports->devices);
	g_free(ports);
}
