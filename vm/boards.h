/* SPDX-License-Identifier: MIT
 *
 * boards.h - what real boards measured: tinymembench, "single random read", ns more than an L1 hit
 *
 * From ThomasKaiser/sbc-bench, commit 53f7951, results/FILE. Up to 16 KiB all rows are 0. `chosen`
 * marks boards that were in view when the constants marked CORE_DERIVED in cores.c were chosen; the
 * others are a test of them. Clocks: as logged; Clearfog's is its operating point.
 */
#ifndef HEAPRIG_VM_BOARDS_H
#define HEAPRIG_VM_BOARDS_H

#include <stdbool.h>
#include <stdint.h>

enum { BOARD_SIZES = 12, BOARD_FIRST_LOG = 15 }; /* 32 KiB to 64 MiB */

struct board {
    const char *core, *name, *file;
    uint32_t mhz, l2_kib;
    bool chosen;
    double ns[BOARD_SIZES];
};

/* clang-format off */
static const struct board boards[] = {
    {"a5", "ODROID-C1", "4eg5", 1497, 512, true,
     {0.6, 8.8, 12.9, 15.0, 25.3, 79.6, 109.0, 124.3, 134.4, 143.7, 153.4, 164.9}},
    {"a5", "S805 TV box", "3MiR", 1535, 512, true,
     {0.0, 8.4, 12.4, 14.5, 24.5, 80.7, 112.1, 128.6, 139.1, 148.8, 159.2, 172.8}},
    {"a7", "ODROID-XU4 little", "4pC7", 1396, 512, true,
     {0.1, 4.3, 6.7, 8.2, 12.0, 76.7, 116.2, 137.0, 148.5, 157.1, 165.3, 176.6}},
    {"a7", "Orange Pi PC Plus", "3MQV", 1330, 512, true,
     {0.0, 4.6, 7.1, 8.4, 11.5, 87.5, 131.0, 153.4, 166.0, 175.2, 184.5, 197.5}},
    {"a7", "NanoPi NEO", "4MBf", 1293, 512, false,
     {0.1, 5.1, 8.0, 10.1, 17.2, 121.0, 180.0, 210.9, 228.7, 240.2, 252.2, 270.5}},
    {"a7", "Raspberry Pi 2", "3MGs", 900, 512, true,
     {0.0, 6.5, 10.0, 11.8, 16.4, 91.8, 138.2, 162.6, 176.3, 186.5, 197.1, 213.2}},
    {"a7", "A20-OLinuXino-LIME2", "4MCU", 957, 256, false,
     {0.2, 6.8, 10.7, 16.6, 118.4, 176.4, 212.2, 230.9, 243.1, 254.8, 275.0, 308.4}},
    {"a7", "BPI-M2 Ultra", "4kmM", 1197, 512, false,
     {0.0, 5.3, 8.1, 9.6, 21.4, 99.1, 148.5, 174.1, 188.5, 199.1, 209.9, 225.9}},
    {"a7", "SSD202D", "3N1U", 1700, 256, false,
     {0.0, 3.4, 5.3, 6.7, 58.7, 87.6, 105.6, 114.9, 120.9, 127.3, 136.2, 152.1}},
    {"a8", "A10-OLinuXino-LIME", "4MC0", 908, 256, true,
     {0.1, 5.7, 8.7, 37.1, 112.7, 152.4, 172.7, 184.1, 191.0, 198.4, 208.4, 228.0}},
    {"a9", "Cubox-i (i.MX6Q)", "4132", 979, 1024, false,
     {0.2, 14.7, 21.7, 29.5, 33.9, 52.8, 112.5, 146.0, 166.7, 183.4, 196.7, 209.3}},
    {"a9", "Clearfog A1", "4d1U", 1600, 1024, false,
     {0.0, 9.2, 13.6, 17.8, 19.9, 23.3, 61.3, 84.4, 97.3, 107.5, 116.1, 123.3}},
    {"a9", "Akaso M8S", "3R3N", 1195, 1024, false,
     {0.0, 10.2, 15.1, 21.1, 24.3, 36.8, 100.1, 138.7, 160.0, 174.9, 186.9, 198.2}},
    {"a9", "Ugoos UT2 (RK3188)", "408h", 1559, 512, false,
     {0.7, 15.4, 22.7, 29.0, 39.7, 97.5, 128.2, 145.2, 157.7, 170.4, 183.1, 198.1}},
    {"a15", "ODROID-XU4 big", "3GnC", 1993, 2048, false,
     {0.0, 4.4, 6.7, 9.6, 11.0, 11.9, 19.6, 94.6, 132.9, 152.6, 167.5, 176.6}},
    {"a15", "ODROID-HC2 big", "8ctH", 1996, 2048, false,
     {0.1, 4.5, 7.0, 10.1, 12.2, 15.5, 33.7, 95.6, 132.8, 151.3, 166.5, 175.8}},
    {"a17", "Tinker Board S", "3X9q", 1797, 1024, true,
     {0.0, 6.2, 9.3, 12.5, 14.2, 18.5, 71.1, 99.0, 117.6, 128.5, 136.5, 144.5}},
    {"a53", "RPi Zero 2 W (throttling)", "3DeL", 1000, 512, false,
     {0.0, 5.4, 8.2, 9.6, 14.9, 75.5, 111.3, 135.2, 148.1, 155.9, 161.1, 163.7}},
};
/* clang-format on */
enum { BOARDS = sizeof boards / sizeof boards[0] };

#endif
