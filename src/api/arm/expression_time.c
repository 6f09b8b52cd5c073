/* Functions of the template language on time. Formats are .NET's: letters that are repeated. */
#include "api/arm/expression_functions.h"

#include <stdint.h>
#include <string.h>

/* A format of one letter stands for one of these. */
static const struct {
	char letter;
	const char *format;
} standard[] = {
	{'d', "M/d/yyyy"},
	{'D', "dddd, MMMM d, yyyy"},
	{'o', "yyyy-MM-ddTHH:mm:ss.fffffffZ"},
	{'O', "yyyy-MM-ddTHH:mm:ss.fffffffZ"},
	{'R', "ddd, dd MMM yyyy HH:mm:ss GMT"},
	{'r', "ddd, dd MMM yyyy HH:mm:ss GMT"},
	{'s', "yyyy-MM-ddTHH:mm:ss"},
	{'t', "h:mm tt"},
	{'T', "h:mm:ss tt"},
	{'u', "yyyy-MM-dd HH:mm:ssZ"},
};

static const char *const months[] = {"January", "February", "March", "April", "May", "June", "July", "August",
	"September", "October", "November", "December"};
static const char *const days[] = {
	"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};

/* Fractions of a second, `digits` of them. */
static void append_fraction(GString *to, GDateTime *time, size_t digits)
{
	g_autofree char *all = g_strdup_printf("%06d0000", g_date_time_get_microsecond(time));

	g_string_append_len(to, all, (gssize)MIN(digits, 7));
}

/* Digits of a number, or for three and more letters a name: whole, or its first three letters. */
static void append_part(GString *to, int number, const char *name, size_t letters)
{
	if (letters > 2)
		g_string_append_len(to, name, letters > 3 ? -1 : 3);
	else
		g_string_append_printf(to, letters > 1 ? "%02d" : "%d", number);
}

/* One run of the same letter; false when it means nothing. */
static bool append_run(GString *to, GDateTime *time, char letter, size_t n)
{
	int hour = g_date_time_get_hour(time), month = g_date_time_get_month(time);

	switch (letter) {
	case 'y':
		g_string_append_printf(
			to, n > 2 ? "%04d" : "%02d", g_date_time_get_year(time) % (n > 2 ? 10000 : 100));
		return true;
	case 'M': append_part(to, month, months[month - 1], n); return true;
	case 'd':
		append_part(to, g_date_time_get_day_of_month(time),
			days[g_date_time_get_day_of_week(time) - 1], n);
		return true;
	case 'H': append_part(to, hour, "", MIN(n, 2)); return true;
	case 'h': append_part(to, hour % 12 ? hour % 12 : 12, "", MIN(n, 2)); return true;
	case 'm': append_part(to, g_date_time_get_minute(time), "", MIN(n, 2)); return true;
	case 's': append_part(to, g_date_time_get_second(time), "", MIN(n, 2)); return true;
	case 'f': append_fraction(to, time, n); return true;
	case 't': g_string_append_len(to, hour < 12 ? "AM" : "PM", (gssize)MIN(n, 2)); return true;
	default: return false;
	}
}

static json_t *format_time(GDateTime *time, const char *format)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (size_t i = 0; format[0] && !format[1] && i < G_N_ELEMENTS(standard); i++)
		if (format[0] == standard[i].letter) {
			format = standard[i].format;
			break;
		}
	while (*format) {
		size_t n = 1;
		while (format[n] == *format)
			n++;
		/* GMT is no run of letters, but a word. */
		if (g_str_has_prefix(format, "GMT") || !append_run(text, time, *format, n)) {
			n = g_str_has_prefix(format, "GMT") ? 3 : n;
			g_string_append_len(text, format, (gssize)n);
		}
		format += n;
	}
	return json_string(text->str);
}

/* utcNow([format]). */
static json_t *call_utc_now(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *format = json_array_size(arguments) ? expression_text_argument(arguments, 0, error)
							: "yyyyMMddTHHmmssZ";

	if (!scope->seed)
		return expression_mistake(error, "utcNow() can stand in default values of parameters only");
	g_autoptr(GDateTime) seconds = g_date_time_new_from_unix_utc(scope->time_us / G_USEC_PER_SEC);
	g_autoptr(GDateTime) time = g_date_time_add(seconds, scope->time_us % G_USEC_PER_SEC);
	return format ? format_time(time, format) : NULL;
}

/* ISO 8601, with a space for the T and without punctuation too. NULL with a mistake. */
static GDateTime *parse_time(const char *text, GError **error)
{
	g_autofree char *iso = g_strdelimit(g_strdup(text), " ", 'T');
	g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
	GDateTime *time = g_date_time_new_from_iso8601(iso, utc);

	if (!time)
		expression_mistake(error, "'%s' is no time such as 2026-11-22T10:00:00Z", text);
	return time;
}

struct duration {
	int years, months, days, hours, minutes, seconds;
};

/* ISO 8601's [-]P1Y2M3DT4H5M6S. */
static bool parse_duration(const char *text, struct duration *ret)
{
	struct {
		char letter;
		bool time;
		int *value;
	} parts[] = {{'Y', false, &ret->years}, {'M', false, &ret->months}, {'W', false, NULL},
		{'D', false, &ret->days}, {'H', true, &ret->hours}, {'M', true, &ret->minutes},
		{'S', true, &ret->seconds}};
	int sign = *text == '-' ? -1 : 1;
	bool time = false, any = false;

	*ret = (struct duration){};
	text += *text == '-';
	if (*text++ != 'P')
		return false;
	for (size_t i = 0; *text; any = true) {
		size_t digits;
		guint64 value;
		if (*text == 'T' && !time) {
			time = true;
			text++;
		}
		digits = strspn(text, "0123456789");
		g_autofree char *number = g_strndup(text, digits);
		while (i < G_N_ELEMENTS(parts) && (parts[i].letter != text[digits] || parts[i].time != time))
			i++;
		if (i == G_N_ELEMENTS(parts) ||
			!g_ascii_string_to_unsigned(number, 10, 0, 100000, &value, NULL))
			return false;
		if (parts[i].value)
			*parts[i].value += sign * (int)value;
		else
			ret->days += sign * 7 * (int)value;
		i++;
		text += digits + 1;
	}
	return any;
}

/* dateTimeAdd(time, duration, [format]). */
static json_t *call_date_time_add(struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *base = expression_text_argument(arguments, 0, error),
		   *duration = base ? expression_text_argument(arguments, 1, error) : NULL,
		   *format = json_array_size(arguments) > 2 ? json_string_value(json_array_get(arguments, 2))
							    : "u";
	g_autoptr(GDateTime) from = duration ? parse_time(base, error) : NULL;
	struct duration by;

	if (!from)
		return NULL;
	if (!parse_duration(duration, &by))
		return expression_mistake(error, "'%s' is no duration such as P1Y2M3DT4H5M6S", duration);
	if (!format)
		return expression_mistake(error, "argument 3 must be a string");
	g_autoptr(GDateTime) to =
		g_date_time_add_full(from, by.years, by.months, by.days, by.hours, by.minutes, by.seconds);
	g_autoptr(GDateTime) utc = to ? g_date_time_to_utc(to) : NULL;
	return utc ? format_time(utc, format) : expression_mistake(error, "there is no such time");
}

static json_t *call_date_time_from_epoch(
	struct expression_scope *scope, const json_t *arguments, GError **error)
{
	json_int_t seconds;

	if (!expression_integer_argument(arguments, 0, &seconds, error))
		return NULL;
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(seconds);
	return time ? format_time(time, "yyyy-MM-ddTHH:mm:ssZ")
		    : expression_mistake(error, "there is no such time");
}

static json_t *call_date_time_to_epoch(
	struct expression_scope *scope, const json_t *arguments, GError **error)
{
	const char *text = expression_text_argument(arguments, 0, error);
	g_autoptr(GDateTime) time = text ? parse_time(text, error) : NULL;

	return time ? json_integer(g_date_time_to_unix(time)) : NULL;
}

const struct expression_function expression_time_functions[] = {
	{"dateTimeAdd", 2, 3, call_date_time_add},
	{"dateTimeFromEpoch", 1, 1, call_date_time_from_epoch},
	{"dateTimeToEpoch", 1, 1, call_date_time_to_epoch},
	{"utcNow", 0, 1, call_utc_now},
	{},
};
