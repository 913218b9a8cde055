/* Constants of Philox4x32 (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011, section 4.3). */
#ifndef DMK_PHILOX_H
#define DMK_PHILOX_H

#define DMK_PHILOX_M0 0xd2511f53u /* multipliers */
#define DMK_PHILOX_M1 0xcd9e8d57u
#define DMK_PHILOX_W0 0x9e3779b9u /* what the key grows by in a round */
#define DMK_PHILOX_W1 0xbb67ae85u

#endif
