/* Images that support accelerated networking by their names alone. */
#pragma once
#include <stdbool.h>

/* Microsoft's documents list an image of that URN as one that supports accelerated networking. Compared without case; false
 * when a part is NULL. */
bool image_support_is_documented(const char *publisher, const char *offer, const char *sku);
