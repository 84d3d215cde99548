#pragma once
#include <stdint.h>

/// How often the program asked for heap memory so far.
uint64_t allocation_count(void);
