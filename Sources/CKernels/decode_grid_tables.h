// Grids of the IQ types, one word for each group of elements: eight two-bit numbers (IQ1, IQ2) or four
// three-bit numbers (IQ3), the first element lowest. Made by scripts/make-decode-tables.
#ifndef ETD_DECODE_GRID_TABLES_H
#define ETD_DECODE_GRID_TABLES_H

#include <stdint.h>

extern const uint16_t etd_grid_iq2_xxs[256], etd_grid_iq2_xs[512], etd_grid_iq2_s[1024];
extern const uint16_t etd_grid_iq3_xxs[256], etd_grid_iq3_s[512];
extern const uint16_t etd_grid_iq1_s[2048];

#endif
