/* The error domain of failures that people read. */
#include "base/fault.h"

static const char *const fault_names[] = {
#define X(NAME, name) [FAULT_##NAME] = name,
	FAULT_CODES(X)
#undef X
};

G_DEFINE_QUARK(sluice - fault, fault)

const char *fault_name(enum fault code)
{
	return (size_t)code < G_N_ELEMENTS(fault_names) ? fault_names[code] : fault_names[FAULT_INTERNAL];
}

enum fault fault_from_name(const char *name)
{
	for (size_t i = 0; name && i < G_N_ELEMENTS(fault_names); i++)
		if (g_str_equal(name, fault_names[i]))
			return (enum fault)i;
	return FAULT_INTERNAL;
}

enum fault fault_code(const GError *error)
{
	return error && error->domain == FAULT ? (enum fault)error->code : FAULT_INTERNAL;
}

bool fault_set(GError **error, enum fault code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (error)
		*error = g_error_new_valist(FAULT, (int)code, format, args);
	va_end(args);
	return false;
}
