/* `sluice-guest enforce`: tells the host what this guest is, and applies the rules of its NICs where the host asks for it.
 *
 * How it works. One thread for each NIC asks the host's metadata service for that NIC's rules; the request leaves
 * by the NIC itself, which is how the host knows whose rules are meant. It is held there until they change,
 * or 25 s. A thread that has got rules puts them into one table for all NICs (enforce_rules.h), under a lock,
 * and reports their hash, or why it failed, by that NIC. After a hold without a change it looks whether the
 * table still is what it made, makes it again if not, and reports again: the host takes a guest that is silent for 90 s
 * for one that does not apply rules.
 *
 * Where no NIC's rules are asked for, nothing is done but ask: no file, no nft, no table. When the last NIC's are
 * no longer, the table is removed. A host that is away, or does not know of such rules, changes nothing: what was
 * applied stays. So does it when this program ends; the next one replaces it.
 *
 * After each answer, so twice a minute or so, the thread says by its NIC what this guest is (identity.h). That the host
 * refuses it, or does not know of it, keeps nothing from being applied. A service that does not know of rules is told nothing.
 *
 * What the present table was made of lies in $RUNTIME_DIRECTORY (/run/sluice-guest), rules.nft.
 */
#pragma once
#include <glib.h>

struct enforce_options {
	char *interface; /* only this NIC; NULL: all that status knows */
	gboolean once; /* apply and report, then return */
	gboolean show; /* print what would be applied, then return */
	const char *version; /* of this program */
};

/* An exit status: 0, or 1 when something failed, which is said on stderr. Does not return without once or show. */
int enforce_run(const struct enforce_options *options);
