/* Parts of the host's doctor: each looks at one matter and adds what it finds. */
#pragma once
#include "doctor/host.h"

/* Whether one of the space-separated words of the kernel's command line is `word`. */
bool host_kernel_line_has(const struct host_source *source, const char *word);

void host_check_devices(const struct host_source *source, GPtrArray *findings); /* NICs and their functions */
void host_check_kernel_log(const struct host_source *source, GPtrArray *findings);
