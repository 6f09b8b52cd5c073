/* A netdev that filters lie on: see tc_device.h. */
#include "offload/tc_device.h"

#include "base/fault.h"
#include "offload/tc_message.h"

#include <errno.h>
#include <net/if.h>

static unsigned n_guards(const struct tc_device *device)
{
	return device->is_tunnel ? 0 : TC_GUARDS;
}

/* ---- filters ---- */

/* What a dump has told. */
struct dump {
	unsigned n; /* filters, whoever's */
	bool made_ingress;
	GArray *ours; /* Owned, of struct tc_place */
};

static void dump_done(struct dump *dump)
{
	g_array_unref(dump->ours);
}
CLEANUP_CLEAR_FUNC(struct dump, dump_done)

static void keep(void *data, uint64_t cookie, struct nlmsghdr *header)
{
	struct dump *dump = data;
	struct tc_filter told;

	dump->n++;
	if (!tc_read_filter(header, &told) || !told.ours)
		return;
	dump->made_ingress |= told.made_ingress;
	g_array_append_val(dump->ours, told.place);
}

static void ignore(void *data, uint64_t cookie, int status, const char *text)
{
}

static void take_dump(const struct tc_device *device, struct tc_socket *socket, bool egress, struct dump *ret)
{
	*ret = (struct dump){.ours = g_array_new(false, false, sizeof(struct tc_place))};
	tc_message_dump(tc_socket_message(socket), device->ifindex, egress);
	tc_socket_dump(socket, 0, &(struct tc_hearer){.told = keep, .done = ignore}, ret);
}

static void take_out(struct tc_socket *socket, const struct dump *dump, bool guards)
{
	for (guint i = 0; i < dump->ours->len; i++) {
		const struct tc_place *place = &g_array_index(dump->ours, struct tc_place, i);
		if (!guards && !tc_priority_is_of_flows(place->priority))
			continue;
		tc_message_remove(tc_socket_message(socket), place);
		tc_socket_add(socket, 0, 0);
	}
	tc_socket_run(socket, &(struct tc_hearer){.done = ignore}, NULL);
}

void tc_device_clear(struct tc_device *device, struct tc_socket *socket)
{
	_cleanup_(dump_done) struct dump dump;

	take_dump(device, socket, false, &dump);
	take_out(socket, &dump, false);
}

/* Ours; who made the ingress is found out with them. */
static void clear_all(struct tc_device *device, struct tc_socket *socket)
{
	_cleanup_(dump_done) struct dump dump;

	take_dump(device, socket, false, &dump);
	device->made_ingress |= dump.made_ingress;
	take_out(socket, &dump, true);
}

static bool is_empty(const struct tc_device *device, struct tc_socket *socket)
{
	_cleanup_(dump_done) struct dump ingress, egress;

	take_dump(device, socket, false, &ingress);
	take_dump(device, socket, true, &egress);
	return ingress.n == 0 && egress.n == 0;
}

/* ---- guards ---- */

struct guarding {
	unsigned n_in_hw;
	int status; /* the first that is not 0 */
	char *text; /* Owned */
};

static void on_guard(void *data, uint64_t cookie, struct nlmsghdr *header)
{
	struct tc_filter told;

	if (tc_read_filter(header, &told))
		((struct guarding *)data)->n_in_hw += told.in_hw;
}

static void on_answer(void *data, uint64_t cookie, int status, const char *text)
{
	struct guarding *guarding = data;

	if (status == 0 || guarding->status)
		return;
	guarding->status = status;
	guarding->text = g_strdup(text ? text : g_strerror(-status));
}

/* After all else of ours is gone. NULL, or why it does not have them. */
static char *put_guards(struct tc_device *device, struct tc_socket *socket, uint32_t flags)
{
	static const struct tc_hearer hearer = {.told = on_guard, .done = on_answer};
	struct guarding guarding = {};

	clear_all(device, socket);
	for (unsigned i = 0; i < n_guards(device); i++) {
		tc_message_guard(tc_socket_message(socket), device->ifindex, i, device->made_ingress, flags);
		tc_socket_add(socket, flags ? 0 : NLM_F_ECHO, 0);
	}
	if (tc_socket_run(socket, &hearer, &guarding) < 0 && !guarding.text)
		guarding.text = g_strdup("the kernel does not answer");
	if (!guarding.text && !flags && guarding.n_in_hw < n_guards(device))
		guarding.text = g_strdup("the kernel says that they are not in hardware");
	device->guarded = !guarding.text;
	return guarding.text;
}

void tc_device_guard(struct tc_device *device, struct tc_socket *socket, uint32_t flags)
{
	g_free(put_guards(device, socket, flags));
}

void tc_device_look(struct tc_device *device)
{
	device->guards = 0;
}

void tc_device_see(struct tc_device *device, const struct tc_filter *filter, uint32_t flags)
{
	for (unsigned i = 0; i < n_guards(device); i++)
		if (tc_guard_place(device->ifindex, i).priority == filter->place.priority &&
			(flags || filter->in_hw))
			device->guards |= 1u << i;
}

bool tc_device_has_guards(const struct tc_device *device)
{
	return device->guarded && device->guards == (1u << n_guards(device)) - 1;
}

/* ---- life ---- */

static const char *name_of(int ifindex, char name[static IF_NAMESIZE])
{
	return if_indextoname((unsigned)ifindex, name) ? name : "(gone)";
}

static bool open_ingress(struct tc_device *device, struct tc_socket *socket, GError **error)
{
	char name[IF_NAMESIZE];

	tc_message_qdisc(tc_socket_message(socket), device->ifindex);
	int status = tc_socket_do(socket, NULL);
	device->made_ingress = status == 0;
	if (status == 0 || status == -EEXIST)
		return true;
	return fault_set(error, FAULT_UNSUPPORTED,
		"tc: cannot give interface %s an ingress: %s; the kernel needs sch_ingress, and the "
		"process CAP_NET_ADMIN",
		name_of(device->ifindex, name), g_strerror(-status));
}

struct tc_device *tc_device_open(
	struct tc_socket *socket, int ifindex, bool is_tunnel, uint32_t flags, GError **error)
{
	struct tc_device *device = g_new0(struct tc_device, 1);
	char name[IF_NAMESIZE];

	device->ifindex = ifindex;
	device->is_tunnel = is_tunnel;
	if (!open_ingress(device, socket, error)) {
		g_free(device);
		return NULL;
	}
	g_autofree char *why_not = put_guards(device, socket, flags);
	if (!why_not)
		return device;
	fault_set(error, FAULT_UNSUPPORTED,
		"tc: interface %s takes no filter that lets last hops through, which must lie before flows: "
		"%s; the "
		"kernel needs cls_flower and act_gact, and its driver to offload them",
		name_of(ifindex, name), why_not);
	tc_device_close(device, socket);
	return NULL;
}

void tc_device_close(struct tc_device *device, struct tc_socket *socket)
{
	clear_all(device, socket);
	if (device->made_ingress && is_empty(device, socket)) {
		tc_message_remove_qdisc(tc_socket_message(socket), device->ifindex);
		tc_socket_do(socket, NULL);
	}
	g_free(device);
}
