/* The kernels of ../generic compiled for: avx512 (flags in ../CMakeLists.txt). */
#define DMK_VARIANT avx512
#define DMK_NEAREST dmk_nearest_avx512
#include "generic/dmk_generic.h"
