/* The kernels of ../generic compiled for: ref (flags in ../CMakeLists.txt). */
#define DMK_VARIANT ref
#include "generic/dmk_generic.h"
