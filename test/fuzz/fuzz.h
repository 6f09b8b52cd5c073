/* A fuzz target: one function that takes any bytes at all.
 *
 * One file a target, and two programs of each file. fuzz_NAME (clang, `make fuzz`) is libFuzzer's: it looks for bytes
 * that break the function. fuzz_NAME_replay (every build) gives it the files of corpus/NAME and is a test like any
 * other. What a target promises beyond "no memory error, no undefined behaviour" it asserts.
 */
#pragma once
#include <glib.h>
#include <stddef.h>
#include <stdint.h>

/* Once, before the first input; 0. A target that has nothing to set up defines none. */
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* `data` is exactly `size` bytes of the heap, so that one byte too many is seen. 0. Nothing of one input is left for
 * the next: what breaks it must break it alone. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
