/* What the controller's figures are put beside: a server of libsoup and SQLite that does nothing else. A read is one row
 * by its key, a write one row in a transaction that is on the disk when it is answered; TLS, and how connections are kept,
 * are as the controller has them. It runs in a process of its own, as that does. */
#pragma once

struct ceiling;

/* Runs this program anew as "--ceiling FOLDER". folder: has controller.pem and its key; its file lies there, too. Ends
 * the program when it cannot start. */
struct ceiling *ceiling_start(const char *folder);
/* What that does, for ever: serves, and writes its port to standard output, as an int. */
void ceiling_serve(const char *folder);
const char *ceiling_endpoint(const struct ceiling *ceiling);
void ceiling_stop(struct ceiling *ceiling);
