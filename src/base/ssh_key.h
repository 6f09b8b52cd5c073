/* Keys of SSH, as clients of ARM have them: the public one in the form of an authorized_keys file, "TYPE BASE64 [COMMENT]"
 * (RFC 4253 section 6.6, RFC 8709), the private one as the PEM text that ssh reads from a file. */
#pragma once
#include <glib.h>
#include <stdbool.h>

#define SSH_KEY_RSA_BITS     3072 /* of those that are made here: as Azure */
#define SSH_KEY_RSA_BITS_MIN 2048
#define SSH_KEY_TEXT_MAX     (16 * 1024)

enum ssh_key_type { SSH_KEY_RSA, SSH_KEY_ED25519 };

/* A public key of a type that sshd takes: RSA from SSH_KEY_RSA_BITS_MIN on, Ed25519, ECDSA. FAULT_INVALID says what is
 * wrong with it. */
bool ssh_key_check(const char *text, GError **error);

/* Makes a pair; an RSA one takes a good part of a second. The private key is in PKCS #1 (RSA) or in OpenSSH's own format
 * (Ed25519, which ssh reads in no other). Both Owned by the caller. */
bool ssh_key_generate(enum ssh_key_type type, char **ret_private, char **ret_public, GError **error);

/* Frees a private key, whose text is nowhere in memory behind it. NULL is fine. */
void ssh_key_free_private(char *private);
