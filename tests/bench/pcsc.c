/* SPDX-License-Identifier: Apache-2.0 */
/* Exchanges through PC/SC; the reader is named by a part of its name. */
#include "exchange.h"
#include <stdio.h>
#include <string.h>
#include <winscard.h>

static SCARDHANDLE card;
static const SCARD_IO_REQUEST *pci;

static void done(LONG got)
{
    need(pcsc_stringify_error(got), got == SCARD_S_SUCCESS);
}

void activate(const char *reader)
{
    static char names[4096];
    DWORD size = sizeof names, protocol;
    SCARDCONTEXT context;
    done(SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, &context));
    done(SCardListReaders(context, NULL, names, &size));
    const char *name = names;
    while (*name && !strstr(name, reader))
        name += strlen(name) + 1;
    done(SCardConnect(context, name, SCARD_SHARE_EXCLUSIVE, SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1, &card, &protocol));
    pci = protocol == SCARD_PROTOCOL_T1 ? SCARD_PCI_T1 : SCARD_PCI_T0;
}

static DWORD transmit(const BYTE *command, DWORD length, BYTE answer[258])
{
    DWORD answered = 258;
    done(SCardTransmit(card, pci, command, length, NULL, answer, &answered));
    return answered;
}

unsigned exchange(const uint8_t *command, unsigned length)
{
    BYTE answer[258];
    if (pci == SCARD_PCI_T1)
        return transmit(command, length, answer);
    DWORD answered = transmit(command, length - 1, answer);
    if (answered == 2 && answer[0] == 0x61) {
        BYTE get_response[5] = {command[0], 0xC0, 0, 0, answer[1]};
        answered = transmit(get_response, sizeof get_response, answer);
    }
    return answered;
}
