/* SPDX-License-Identifier: Apache-2.0 */
/* STACK READER: exchanges by hand. A line of standard input is `activate`, answered by `ready`, or `times N HEX`,
 * answered by how long each of N such commands took in microseconds. The sibling of stb-shim/examples/exchange.rs. */
#include "exchange.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void need(const char *what, int good)
{
    if (!good) {
        printf("failed: %s\n", what);
        exit(1);
    }
}

static double micros(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static void times(unsigned count, const char *hex)
{
    uint8_t command[261];
    unsigned length = 0;
    while (length < sizeof command && sscanf(hex + 2 * length, "%2hhx", &command[length]) == 1)
        length++;
    while (count--) {
        double begin = micros();
        unsigned answered = exchange(command, length);
        printf("%.3f ", micros() - begin);
        need("an answer with data", answered > 2);
    }
}

int main(int argc, char **argv)
{
    char line[600], hex[523];
    unsigned count;
    need("expected READER", argc == 2);
    while (fgets(line, sizeof line, stdin)) {
        if (!strcmp(line, "activate\n")) {
            activate(argv[1]);
            printf("ready");
        } else {
            need("expected activate or times N HEX", sscanf(line, "times %u %522s", &count, hex) == 2);
            times(count, hex);
        }
        putchar('\n');
        fflush(stdout);
    }
    return 0;
}
