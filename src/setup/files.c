/* Files that setup writes whole. Each is its own: a drop-in, never a part of a file that a person has written. */
#include "base/sysfs.h"
#include "setup/setup_priv.h"

#define HEAD "# Written by 'sluice host setup --apply'; '--revert' removes it.\n"

#define MODULES "/etc/modules-load.d/sluice.conf"
#define SYSCTL  "/etc/sysctl.d/50-sluice.conf"
#define RULES   "/etc/udev/rules.d/70-sluice-vfs.rules"
#define UNIT    "/etc/systemd/system/sluice-vfs.service"
#define NETWORK "/etc/systemd/network/10-sluice-vfs.network"

/* systemd runs the unit; a rule's own RUN would be ended after some seconds. Every PF's arrival asks for it: at the start, and
 * when its driver is loaded again. systemd looks away from an interface that is added while udev renames it (ID_RENAMING), and
 * takes it up at its next event, "move", so every event but the last one asks. VFs are marked by property, as drivers do not tell
 * them from PFs (mlx5_core), and so are their representors, which are interfaces of the PF too. A host may have more PFs than
 * systemd starts a unit in ten seconds unless it is told not to count (systemd.unit(5), StartLimitIntervalSec=): the last of
 * them would have no VFs. */
static const char rules_text[] = HEAD
	"ACTION!=\"remove\", SUBSYSTEM==\"net\", TEST==\"device/physfn\", ENV{SLUICE_VF}=\"1\", "
	"ENV{NM_UNMANAGED}=\"1\"\n"
	"ACTION!=\"remove\", SUBSYSTEM==\"net\", ATTR{phys_port_name}==\"*pf[0-9]*vf[0-9]*\", "
	"ENV{SLUICE_VF}=\"1\", ENV{NM_UNMANAGED}=\"1\"\n"
	"ACTION!=\"remove\", SUBSYSTEM==\"net\", TEST==\"device/sriov_totalvfs\", ENV{SLUICE_VF}!=\"1\", "
	"TAG+=\"systemd\", ENV{SYSTEMD_WANTS}+=\"sluice-vfs.service\"\n";

static const char network_text[] = HEAD "[Match]\nProperty=SLUICE_VF=1\n\n[Link]\nUnmanaged=yes\n";

static const char unit_text[] = HEAD "[Unit]\n"
				     "Description=Virtual functions of this host's NICs\n"
				     "After=local-fs.target systemd-modules-load.service\n"
				     "Before=libvirtd.service virtqemud.service sluice.service\n"
				     "StartLimitIntervalSec=0\n"
				     "\n"
				     "[Service]\n"
				     "Type=oneshot\n"
				     "ExecStart=%s --boot\n"
				     "TimeoutStartSec=300\n";

void setup_add_word(GString *line, const char *word)
{
	static const char plain[] = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "/._-+,:@=";
	bool quoted = word[strspn(word, plain)];

	g_string_append(line, quoted ? "\"" : "");
	for (const char *at = word; *at; at++) {
		if (*at == '"' || *at == '\\')
			g_string_append_c(line, '\\');
		else if (*at == '%' || *at == '$')
			g_string_append_c(line, *at);
		g_string_append_c(line, *at);
	}
	g_string_append(line, quoted ? "\"" : "");
}

/* Who reads a file, told only when it runs: `when` is there then. The folder of networkd's state is made at every start, also where
 * something else configures interfaces (tmpfiles.d/systemd-network.conf); what is in it is networkd's own. */
struct setup_command {
	const char *path; /* of the file */
	const char *when;
	const char *argv[5];
};

static const struct setup_command commands[] = {
	{"/etc/default/grub.d/50-sluice.cfg", "/etc/default/grub", {"update-grub"}},
	{MODULES, "/sys/bus/pci", {"modprobe", "vfio-pci"}},
	{RULES, "/run/udev/control", {"udevadm", "control", "--reload"}},
	{UNIT, "/run/systemd/system", {"systemctl", "daemon-reload"}},
	{NETWORK, "/run/systemd/netif/state", {"networkctl", "reload"}},
};

static void add(GPtrArray *contents, const char *path, char *text, const char *why)
{
	struct setup_content *content = g_new(struct setup_content, 1);

	*content = (struct setup_content){path, text, why};
	g_ptr_array_add(contents, content);
}

static void content_free(struct setup_content *content)
{
	g_free(content->text);
	g_free(content);
}

static bool wants_vfs(const struct host_file *file)
{
	for (guint i = 0; i < file->physicals->len; i++)
		if (((const struct host_physical *)file->physicals->pdata[i])->vfs)
			return true;
	return false;
}

GPtrArray *setup_contents(const struct setup_machine *machine, const struct host_file *file)
{
	GPtrArray *contents = g_ptr_array_new_with_free_func((GDestroyNotify)content_free);

	if (file->hugepages)
		add(contents, SYSCTL, g_strdup_printf(HEAD "vm.nr_hugepages=%u\n", file->hugepages),
			"so many huge pages are kept at every start");
	if (!wants_vfs(file))
		return contents;
	add(contents, MODULES, g_strdup(HEAD "vfio-pci\n"), "VFs are given to virtual machines by vfio");
	if (!setup_exists(machine, "/usr/lib/systemd/systemd"))
		return contents;
	add(contents, RULES, g_strdup(rules_text),
		"VFs are made when a PF comes, and network managers leave them alone");
	add(contents, UNIT, g_strdup_printf(unit_text, machine->program), "VFs are made at every start");
	add(contents, NETWORK, g_strdup(network_text), "systemd-networkd leaves VFs alone");
	return contents;
}

bool setup_tell(const struct setup_machine *machine, const char *path, GError **error)
{
	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
		if (!g_str_equal(path, commands[i].path) || !setup_exists(machine, commands[i].when))
			continue;
		g_autofree char *output = machine->run(commands[i].argv, error);
		return output != NULL;
	}
	return true;
}
