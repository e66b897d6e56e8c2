/* SPDX-License-Identifier: Apache-2.0 */
/* What a stack has to do for tests/bench/main.c. */
#include <stdint.h>

/* Brings the card up that `reader` names. */
void activate(const char *reader);
/* One exchange, with GET RESPONSE where T=0 asks for it: how many octets the answer has. On T=0 without Le. */
unsigned exchange(const uint8_t *command, unsigned length);
/* Ends the program when `good` is 0. */
void need(const char *what, int good);
