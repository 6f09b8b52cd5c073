/* What a layer said, in words: for trace. */
#pragma once
#include "switch/layers/layer.h"

/* The walk before and after `layer` was asked about `nic`: what it refused, changed or chose, and by which group
 * and rule. Owned by the caller. */
char *walk_text(const struct layer *layer, const struct nic *nic, const struct walk *before,
	const struct walk *after, bool passed);
