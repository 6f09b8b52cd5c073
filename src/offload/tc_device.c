/* A netdev that filters lie on: see tc_device.h. */
#include "offload/tc_device.h"

#include "base/fault.h"
#include "offload/tc_message.h"

#include <errno.h>
#include <net/if.h>

#define ALL_GUARDS ((1u << TC_GUARDS) - 1)

/* ---- filters ---- */

static void ignore(void *data, uint64_t cookie, int status, const char *text)
{
}

/* Of what waits only that it is done is of interest. */
static void run(struct tc_socket *socket)
{
	tc_socket_run(socket, &(struct tc_hearer){.done = ignore}, NULL);
}

void tc_device_clear(struct tc_device *device, struct tc_socket *socket)
{
	for (unsigned i = TC_GUARDS; i < TC_PRIORITIES; i++) {
		tc_message_clear(tc_socket_message(socket), device->ifindex, i);
		tc_socket_add(socket, 0, 0);
	}
	run(socket);
}

/* ---- guards ---- */

struct guarding {
	unsigned n_in_hw;
	int status; /* the first that is not 0 */
	char *text; /* Owned */
};

static void on_told(void *data, uint64_t cookie, struct nlmsghdr *header)
{
	struct tc_filter told;

	if (tc_read_filter(header, &told))
		((struct guarding *)data)->n_in_hw += told.in_hw;
}

static void on_done(void *data, uint64_t cookie, int status, const char *text)
{
	struct guarding *guarding = data;

	if (status == 0 || guarding->status)
		return;
	guarding->status = status;
	guarding->text = g_strdup(text ? text : g_strerror(-status));
}

static void remove_guards(struct tc_device *device, struct tc_socket *socket)
{
	for (unsigned i = 0; i < TC_GUARDS; i++) {
		const struct tc_place place = tc_guard_place(device->ifindex, i);
		tc_message_remove(tc_socket_message(socket), &place);
		tc_socket_add(socket, 0, 0);
	}
	run(socket);
}

/* NULL, or why it does not have them. */
static char *put_guards(struct tc_device *device, struct tc_socket *socket, uint32_t flags)
{
	static const struct tc_hearer hearer = {.told = on_told, .done = on_done};
	struct guarding guarding = {};

	remove_guards(device, socket);
	for (unsigned i = 0; i < TC_GUARDS; i++) {
		tc_message_guard(tc_socket_message(socket), device->ifindex, i, flags);
		tc_socket_add(socket, flags ? 0 : NLM_F_ECHO, 0);
	}
	if (tc_socket_run(socket, &hearer, &guarding) < 0 && !guarding.text)
		guarding.text = g_strdup("the kernel does not answer");
	if (!guarding.text && !flags && guarding.n_in_hw < TC_GUARDS)
		guarding.text = g_strdup("the kernel says that they are not in hardware");
	device->guarded = !guarding.text;
	if (!device->guarded)
		remove_guards(device, socket);
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
	for (unsigned i = 0; i < TC_GUARDS; i++)
		if (tc_guard_place(device->ifindex, i).priority == filter->priority &&
			(flags || filter->in_hw))
			device->guards |= 1u << i;
}

bool tc_device_has_guards(const struct tc_device *device)
{
	return device->guarded && device->guards == ALL_GUARDS;
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
	if (status == 0 || status == -EEXIST)
		return true;
	return fault_set(error, FAULT_UNSUPPORTED,
		"tc: cannot give interface %s an ingress: %s; the kernel needs sch_ingress, and the "
		"process CAP_NET_ADMIN",
		name_of(device->ifindex, name), g_strerror(-status));
}

struct tc_device *tc_device_open(struct tc_socket *socket, int ifindex, uint32_t flags, GError **error)
{
	struct tc_device *device = g_new0(struct tc_device, 1);
	char name[IF_NAMESIZE];

	device->ifindex = ifindex;
	if (!open_ingress(device, socket, error)) {
		g_free(device);
		return NULL;
	}
	tc_device_clear(device, socket);
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
	tc_device_clear(device, socket);
	remove_guards(device, socket);
	g_free(device);
}
