/* The kernels of ../generic compiled for: avx2 (flags in ../CMakeLists.txt). */
#define DMK_VARIANT avx2
#define DMK_NEAREST dmk_nearest_avx2
#include "generic/dmk_generic.h"
