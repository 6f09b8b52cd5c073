/* Traces of generic netlink. */
#include "nic/test_trace.h"

#include <linux/devlink.h>
#include <linux/ethtool_netlink.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

/* Of devlink or ethtool: neither is asked for what has the other's number. */
static bool is_change(struct nl_msg *request)
{
	const struct genlmsghdr *header = nlmsg_data(nlmsg_hdr(request));

	return header->cmd == DEVLINK_CMD_ESWITCH_SET || header->cmd == ETHTOOL_MSG_FEATURES_SET;
}

static char *hex(const void *bytes, size_t length)
{
	GString *text = g_string_sized_new(2 * length);

	for (size_t i = 0; i < length; i++)
		g_string_append_printf(text, "%02x", ((const uint8_t *)bytes)[i]);
	return g_string_free(text, false);
}

/* "? 0 1d010000…": Owned by the caller. */
static char *request_line(struct nl_msg *request)
{
	const struct nlmsghdr *header = nlmsg_hdr(request);
	g_autofree char *bytes = hex(nlmsg_data(header), (size_t)nlmsg_datalen(header));

	return g_strdup_printf("%c %d %s", is_change(request) ? '!' : '?',
		(header->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP, bytes);
}

/* ---- recording ---- */

struct recorder {
	struct genl genl; /* first member */
	struct genl *inner; /* Owned */
	FILE *file; /* Owned */
};

static int record_ask(struct genl *genl, struct nl_msg *request, GPtrArray *answers, char **ret_why)
{
	struct recorder *recorder = (struct recorder *)genl;
	g_autofree char *line = request_line(request);
	int rc = recorder->inner->ops->ask(recorder->inner, request, answers, ret_why);

	fprintf(recorder->file, "%s\n", line);
	for (guint i = 0; i < answers->len; i++) {
		gsize length;
		const void *bytes = g_bytes_get_data(answers->pdata[i], &length);
		g_autofree char *text = hex(bytes, length);
		fprintf(recorder->file, "< %s\n", text);
	}
	fprintf(recorder->file, "= %d%s%s\n", rc, *ret_why ? " " : "", *ret_why ? *ret_why : "");
	return rc;
}

static void record_close(struct genl *genl)
{
	struct recorder *recorder = (struct recorder *)genl;

	if (fclose(recorder->file) != 0)
		g_error("the trace cannot be written");
	genl_close(recorder->inner);
	g_free(recorder);
}

static const struct genl_ops record_ops = {.ask = record_ask, .close = record_close};

struct genl *trace_record(struct genl *inner, const char *path)
{
	struct recorder *recorder = g_new0(struct recorder, 1);
	struct utsname kernel;

	recorder->genl.ops = &record_ops;
	recorder->inner = inner;
	recorder->file = fopen(path, "w");
	if (!recorder->file || uname(&kernel) < 0)
		g_error("%s cannot be written", path);
	fprintf(recorder->file, "# Recorded on %s %s, %s\n", kernel.sysname, kernel.release, kernel.machine);
	return &recorder->genl;
}

/* ---- playing ---- */

struct player {
	struct genl genl; /* first member */
	GStrv lines; /* Owned; without comments */
	guint state; /* line behind the last change */
};

static char kind_of(const char *line)
{
	return line ? *line : '\0';
}

/* The line of the request, or of the end. */
static guint find(const struct player *player, const char *request)
{
	guint i = player->state;

	/* A state goes on until the next change; a change is looked for there. */
	while (kind_of(player->lines[i]) && kind_of(player->lines[i]) != '!' &&
		!g_str_equal(player->lines[i], request))
		i++;
	return i;
}

static GBytes *unhex(const char *text)
{
	GByteArray *bytes = g_byte_array_new();

	for (; text[0] && text[1]; text += 2) {
		int high = g_ascii_xdigit_value(text[0]), low = g_ascii_xdigit_value(text[1]);
		uint8_t byte = (uint8_t)(high << 4 | low);
		g_assert(high >= 0 && low >= 0);
		g_byte_array_append(bytes, &byte, 1);
	}
	return g_byte_array_free_to_bytes(bytes);
}

static int replay_ask(struct genl *genl, struct nl_msg *request, GPtrArray *answers, char **ret_why)
{
	struct player *player = (struct player *)genl;
	g_autofree char *line = request_line(request);
	guint i = find(player, line);
	char *end;

	if (g_strcmp0(player->lines[i], line) != 0)
		g_error("the trace has no answer here to %s", line);
	for (i++; kind_of(player->lines[i]) == '<'; i++)
		g_ptr_array_add(answers, unhex(player->lines[i] + 2));
	g_assert(kind_of(player->lines[i]) == '=');
	int rc = (int)strtol(player->lines[i] + 2, &end, 10);
	*ret_why = *end ? g_strdup(end + 1) : NULL;
	if (is_change(request))
		player->state = i + 1;
	return rc;
}

static void replay_close(struct genl *genl)
{
	struct player *player = (struct player *)genl;

	g_strfreev(player->lines);
	g_free(player);
}

static const struct genl_ops replay_ops = {.ask = replay_ask, .close = replay_close};

struct genl *trace_replay(const char *path)
{
	struct player *player = g_new0(struct player, 1);
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	g_autofree char *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		g_error("%s cannot be read", path);
	g_auto(GStrv) all = g_strsplit(text, "\n", -1);
	for (char **line = all; *line; line++)
		if (**line && **line != '#')
			g_strv_builder_add(builder, *line);
	player->genl.ops = &replay_ops;
	player->lines = g_strv_builder_end(builder);
	return &player->genl;
}
