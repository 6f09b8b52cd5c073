/* What goes through a VF: queues, interrupts, counters. */
#include "guest/doctor_priv.h"

#include "base/sysfs.h"

#include <string.h>

static void check_queues(const char *root, const char *netdev, GPtrArray *findings)
{
	g_auto(GStrv) rx = sysfs_children(root, "rx-", "/sys/class/net/%s/queues", netdev);
	g_auto(GStrv) tx = sysfs_children(root, "tx-", "/sys/class/net/%s/queues", netdev);

	findings_add(findings, FINDING_OK, "queues", netdev, NULL, "it has %u to receive and %u to send",
		g_strv_length(rx), g_strv_length(tx));
}

/* Sum over processors of a line " 45:  12  0  PCI-MSIX-0000:02:00.0  0-edge  eth2". */
static guint64 sum_of(const char *line)
{
	const char *at = strchr(line, ':');
	guint64 sum = 0;

	for (char *end = NULL; at; at = end) {
		at++;
		guint64 number = g_ascii_strtoull(at, &end, 10);
		if (end == at || (*end != ' ' && *end))
			break;
		sum += number;
	}
	return sum;
}

/* How often the interrupts of these numbers have come. */
static guint64 count_interrupts(const char *root, char **numbers)
{
	g_autofree char *text = sysfs_text(root, "/proc/interrupts");
	g_auto(GStrv) lines = text ? g_strsplit(text, "\n", -1) : NULL;
	guint64 sum = 0;

	for (char **line = lines; lines && *line; line++) {
		g_auto(GStrv) words = g_strsplit(g_strstrip(*line), ":", 2);
		if (words[0] && g_strv_contains((const char *const *)numbers, words[0]))
			sum += sum_of(*line);
	}
	return sum;
}

static void check_interrupts(const char *root, const struct accel_nic *nic, GPtrArray *findings)
{
	static const char remedy[] =
		"have the host's operator look for interrupt remapping there: sluice doctor host";
	g_auto(GStrv) numbers =
		sysfs_children(root, "", "/sys/bus/pci/devices/%s/msi_irqs", nic->function->address);
	guint64 packets = nic->vf.rx_packets + nic->vf.tx_packets, n = count_interrupts(root, numbers);
	unsigned vectors = g_strv_length(numbers);

	if (!vectors)
		findings_add(findings, FINDING_PROBLEM, "interrupts", nic->primary->netdev, remedy,
			"it is up, and has no message-signalled interrupts");
	else if (packets && !n)
		findings_add(findings, FINDING_PROBLEM, "interrupts", nic->primary->netdev, remedy,
			"%" G_GUINT64_FORMAT
			" packets were counted, and none of its %u interrupts has ever come",
			packets, vectors);
	else
		findings_add(findings, FINDING_OK, "interrupts", nic->primary->netdev, NULL,
			"%u of them, which came %" G_GUINT64_FORMAT " times", vectors, n);
}

/* Which way packets went, since each was made. */
static void check_shares(const struct accel_nic *nic, GPtrArray *findings)
{
	guint64 vf = nic->vf.rx_packets + nic->vf.tx_packets;
	guint64 other =
		nic->standby ? nic->standby->counters.rx_packets + nic->standby->counters.tx_packets : 0;

	if (!vf && other)
		findings_add(findings, FINDING_NOTE, "traffic", nic->name,
			"send something; when only the standby's counters grow, take the VF away and give it "
			"again: sluice "
			"vf revoke, restore",
			"nothing went through %s yet, and %" G_GUINT64_FORMAT " packets the synthetic way",
			nic->primary->netdev, other);
	else
		findings_add(findings, FINDING_OK, "traffic", nic->name, NULL,
			"%" G_GUINT64_FORMAT " packets through %s, %" G_GUINT64_FORMAT " the synthetic way",
			vf, nic->primary->netdev, other);
}

void doctor_check_traffic(const char *root, const struct accel_nic *nic, GPtrArray *findings)
{
	check_queues(root, nic->primary->netdev, findings);
	if (nic->function)
		check_interrupts(root, nic, findings);
	check_shares(nic, findings);
}
