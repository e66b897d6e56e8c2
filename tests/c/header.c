/* SPDX-License-Identifier: Apache-2.0 */
/* The header stands alone, may be included twice, and its numbers can be used where C wants constants. */
#include "stbcam.h"
#include "stbcam.h"

int header_compiles(int32_t result, uint32_t type);

int header_compiles(int32_t result, uint32_t type)
{
    static const uint8_t atr_room[sizeof(((stbcam_card_t *)0)->atr)] = {0};
    switch (result) {
    case STBCAM_OK:
    case STBCAM_E_ARG:
    case STBCAM_E_OUTCOME_UNKNOWN:
        return atr_room[0];
    default:
        break;
    }
    switch (type) {
    case STBCAM_EV_CARD:
    case STBCAM_EV_OVERFLOW:
        return 1;
    default:
        return STBCAM_REASON_CLEAR;
    }
}
