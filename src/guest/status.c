/* `sluice-guest status`: the report as text for people and as JSON for programs. */
#include "guest/status.h"

#include <jansson.h>
#include <stdlib.h>

enum status_exit status_exit_of(const struct accel_report *report)
{
	static const enum status_exit exits[] = {
		[ACCEL_WORKING] = STATUS_EXIT_WORKING,
		[ACCEL_OFF] = STATUS_EXIT_OFF,
		[ACCEL_BROKEN] = STATUS_EXIT_BROKEN,
	};

	return exits[report->state];
}

/* ---- text ---- */

static bool is_worth_showing(const struct accel_report *report, const struct function *function)
{
	if (function->kind == FUNCTION_VF)
		return true;
	for (guint i = 0; i < report->nics->len; i++)
		if (((const struct accel_nic *)report->nics->pdata[i])->function == function)
			return true;
	return false;
}

static void print_functions(GString *out, const struct accel_report *report)
{
	guint shown = 0;

	for (guint i = 0; i < report->functions->len; i++) {
		const struct function *function = report->functions->pdata[i];
		g_autofree char *what = function_describe(function);

		if (!is_worth_showing(report, function))
			continue;
		shown++;
		g_string_append_printf(out, "VF:           %s, driver %s%s\n", what,
			function->driver ? function->driver : "none",
			function->kind == FUNCTION_EMULATED ? ", emulated (no host bypass, no speed claim)"
							    : "");
	}
	if (shown == 0)
		g_string_append(out, "VF:           none on the PCI bus\n");
}

static void print_pairing(GString *out, const struct accel_nic *nic)
{
	const char *primary = nic->primary ? nic->primary->netdev : "none";

	switch (nic->pairing) {
	case ACCEL_FAILOVER:
		g_string_append_printf(out, "Pairing:      %s = net_failover of standby %s and primary %s\n",
			nic->name, nic->standby ? nic->standby->netdev : "none", primary);
		break;
	case ACCEL_NETVSC:
		g_string_append_printf(out, "Pairing:      %s = hv_netvsc with VF %s\n", nic->name, primary);
		break;
	case ACCEL_DIRECT:
		g_string_append_printf(out, "Pairing:      %s is a VF on its own\n", nic->name);
		break;
	case ACCEL_PLAIN: g_string_append_printf(out, "Pairing:      %s is not paired\n", nic->name); break;
	}
}

static void print_nic(GString *out, const struct accel_nic *nic)
{
	print_pairing(out, nic);
	if (!nic->primary)
		return;
#define X(name) g_string_append_printf(out, "     vf_" #name ": %" G_GUINT64_FORMAT "\n", nic->vf.name);
	ACCEL_COUNTERS(X)
#undef X
}

char *status_text(const struct accel_report *report)
{
	GString *out = g_string_new(NULL);

	g_string_append_printf(out, "Kernel:       %s\n", report->kernel ? report->kernel : "unknown");
	print_functions(out, report);
	for (guint i = 0; i < report->nics->len; i++)
		print_nic(out, report->nics->pdata[i]);
	g_string_append_printf(out, "Acceleration: %s\n", report->summary);
	return g_string_free(out, FALSE);
}

/* ---- JSON ---- */

static json_t *text_or_null(const char *text)
{
	json_t *string = text ? json_string(text) : NULL;

	return string ? string : json_null();
}

static void counter_add(json_t *object, const char *prefix, const char *name, uint64_t value)
{
	g_autofree char *member = g_strconcat(prefix, name, NULL);

	json_object_set_new(object, member, json_integer((json_int_t)value));
}

static json_t *counters_json(const struct accel_counters *counters, const char *prefix)
{
	json_t *object = json_object();

#define X(name) counter_add(object, prefix, #name, counters->name);
	ACCEL_COUNTERS(X)
#undef X
	return object;
}

static json_t *side_json(const struct accel_side *side)
{
	if (!side)
		return json_null();
	return json_pack("{s:s, s:o, s:b, s:b, s:o}", "interface", side->netdev, "driver",
		text_or_null(side->driver), "up", side->up, "carrier", side->carrier, "counters",
		counters_json(&side->counters, ""));
}

static json_t *function_json(const struct function *function)
{
	g_autofree char *id = g_strdup_printf("%04x:%04x", function->vendor, function->device);

	return json_pack("{s:s, s:s, s:o, s:s, s:o, s:o}", "address", function->address, "id", id, "model",
		text_or_null(function->model), "kind", function_kind_name(function->kind), "driver",
		text_or_null(function->driver), "interface", text_or_null(function->netdev));
}

static json_t *nic_json(const struct accel_nic *nic)
{
	return json_pack("{s:s, s:o, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "interface", nic->name, "mac",
		text_or_null(nic->mac), "pairing", accel_pairing_name(nic->pairing), "state",
		accel_state_name(nic->state), "reason", nic->reason, "standby", side_json(nic->standby),
		"primary", side_json(nic->primary), "function",
		nic->function ? json_string(nic->function->address) : json_null(), "counters",
		counters_json(&nic->vf, "vf_"));
}

static bool is_emulated(const struct accel_report *report)
{
	for (guint i = 0; i < report->nics->len; i++) {
		const struct accel_nic *nic = report->nics->pdata[i];

		if (nic->function && nic->function->kind == FUNCTION_EMULATED)
			return true;
	}
	return false;
}

char *status_json(const struct accel_report *report)
{
	json_t *functions = json_array(), *nics = json_array();

	for (guint i = 0; i < report->functions->len; i++)
		json_array_append_new(functions, function_json(report->functions->pdata[i]));
	for (guint i = 0; i < report->nics->len; i++)
		json_array_append_new(nics, nic_json(report->nics->pdata[i]));

	json_t *object = json_pack("{s:o, s:s, s:s, s:b, s:o, s:o}", "kernel", text_or_null(report->kernel),
		"state", accel_state_name(report->state), "summary", report->summary, "emulated",
		is_emulated(report), "functions", functions, "nics", nics);
	char *text = json_dumps(object, JSON_INDENT(2));
	char *line = g_strconcat(text, "\n", NULL);

	free(text);
	json_decref(object);
	return line;
}
