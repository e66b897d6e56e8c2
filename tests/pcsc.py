#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""vcard in the hands of others: Debian's pcscd drives it, by libccidtwin over pseudo terminals and by vpcd over TCP; and
the library's own `pcsc:` reader behind the same pcscd.

    pcsc.py [VCARD]    VCARD: the program, target/release/vcard by default

Everything runs in mount, PID and network namespaces of its own, so that no other pcscd is met and nothing is left
behind. Where the machine refuses them, as a container without CAP_SYS_ADMIN does, it says so and runs without: then no
other pcscd may be running. STBCAM_SKIP_PCSC=1 skips it all; missing Debian packages are installed (as root).
"""

import fcntl
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ["pcscd", "libccid", "opensc", "vsmartcard-vpcd", "libpcsclite-dev", "pkg-config"]
# The library's readers by hand, built with the feature that the plain build leaves out.
EXCHANGE = ROOT / "target" / "pcsc" / "exchange"
DRIVERS = Path("/usr/lib/pcsc/drivers/serial")
CARD = ROOT / "examples" / "demo" / "card.toml"
COMMAND_FILE = Path("/run/pcscd/pcscd.comm")
# Generous: the machine may be busy with other tests.
TIMEOUT_S, WAIT_S, TOOL_S = 400, 60, 60
INSIDE, BARE = "--inside", "--bare"

SELECT_CAS = "00A4040008F05354424341530100"
SELECT_PURSE = "00A4040009A0000000038698070100"
CAS = "6F 11 84 08 F0 53 54 42 43 41 53 01"
PURSE = "6F 35 84 09 A0 00 00 00 03 86 98 07 01"
NAME = "53:54:42:43:41:4d"
T1_ATR = f"3b:d6:18:ff:81:31:fe:25:{NAME}:50"
# An octet of the first answer after ATR, PPS and IFS arrives damaged, one of a later command is lost.
FAULTS = {"card 30 damage": "Damage", "terminal 150 lose": "Lose", "command 2 wtx 3": "Wtx"}

# reader, options of vcard, answer to reset, SELECT, what the answer begins with, what the recording must hold
TWINS = [
    ("Block", [], T1_ATR, SELECT_CAS, CAS, "T FF1118F6"),
    ("Character", ["--protocol", "t0"], f"3b:96:18:40:02:{NAME}", SELECT_CAS, CAS, "T FF1018F7"),
    ("Chain", ["--ifsc", "8", "--chaining", "5"], None, SELECT_CAS, CAS, "T 002008"),
    ("Specific", ["--protocol", "t0", "--specific", "--ta1", "95"], None, SELECT_PURSE, PURSE, None),
    ("Inverse", ["--convention", "inverse", "--protocol", "t0", "--ta1", "11"], None, SELECT_CAS, CAS, None),
    ("Faulty", ["--script", "faults"], T1_ATR, SELECT_CAS, CAS, "C 00C3010"),
]
SLOTS = [
    ("Virtual 00", 35963, "contact", T1_ATR, SELECT_CAS, CAS),
    ("Virtual 01", 35964, "contactless", f"3b:86:80:01:{NAME}:0d", SELECT_PURSE, PURSE),
]


def install(packages):
    known = subprocess.run(["dpkg", "-s", *packages], capture_output=True, check=False)
    if known.returncode == 0:
        return
    print("installing", *packages, file=sys.stderr, flush=True)
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120"]
    subprocess.run([*apt, "update"], check=True, timeout=300)
    subprocess.run([*apt, "install", "-y", "--no-install-recommends", *packages], check=True, timeout=600,
                   stdout=subprocess.DEVNULL, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def namespaces():
    """The command that gives a program namespaces of its own; nothing where they are refused."""
    rootless = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = ["unshare", *rootless, "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"]
    tried = subprocess.run([*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, text=True,
                           timeout=30, check=False)
    if tried.returncode == 0:
        return command
    why = tried.stderr.strip() or f"exit status {tried.returncode}"
    print(f"pcsc: this machine refuses namespaces ({why}); running without them", file=sys.stderr, flush=True)
    return []


def bare_hindrance():
    """What stands against a pcscd that shares the machine with everything else."""
    if os.geteuid() != 0:
        return "without namespaces pcscd needs root: run as root, or set STBCAM_SKIP_PCSC=1"
    with socket.socket(socket.AF_UNIX) as s:
        if s.connect_ex(str(COMMAND_FILE)) == 0:
            return "without namespaces no other pcscd may run: stop it, or set STBCAM_SKIP_PCSC=1"
    return None


def loopback_up():
    """Sets IFF_UP on lo (netdevice(7)), for which a small machine has no command."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        flags = struct.unpack("16xh", fcntl.ioctl(s, 0x8913, struct.pack("16sh", b"lo", 0))[:18])[0]
        fcntl.ioctl(s, 0x8914, struct.pack("16sh", b"lo", flags | 1))


def outside(script, vcard, packages=PACKAGES, *arguments):
    """Prepares a card, and runs the script again in namespaces of its own, with that card's folder."""
    if not Path(vcard).is_file():
        print(f"pcsc: no {vcard}, `make rust` builds it", file=sys.stderr)
        return 1
    install(packages)
    folder = Path(tempfile.mkdtemp(prefix="vcard-pcsc-"))
    try:
        made = subprocess.run([vcard, "personalise", "--from", CARD, "--memory", folder / "card"], check=False,
                              timeout=60)
        if made.returncode != 0:
            return 1
        own = namespaces()
        if not own and (hindrance := bare_hindrance()):
            print(f"pcsc: {hindrance}", file=sys.stderr)
            return 1
        command = [*own, sys.executable, script, INSIDE if own else BARE, vcard, folder, *arguments]
        return subprocess.run(command, timeout=TIMEOUT_S, check=False).returncode
    except subprocess.TimeoutExpired:
        print(f"pcsc: not done within {TIMEOUT_S} s", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Rig:
    """A pcscd, and cards in its readers."""

    def __init__(self, vcard, folder, alone):
        self.vcard, self.folder, self.cards, self.failures = vcard, folder, {}, []
        self.started = []
        COMMAND_FILE.parent.mkdir(parents=True, exist_ok=True)
        if alone:
            loopback_up()
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", COMMAND_FILE.parent], check=True)
        COMMAND_FILE.unlink(missing_ok=True)
        (folder / "faults").write_text("\n".join(FAULTS))
        (folder / "readers").mkdir()

    def serve(self, name, *options):
        memory = self.folder / f"{name}.nvm"
        shutil.copy(self.folder / "card", memory)
        log = (self.folder / f"{name}.log").open("w")
        self.cards[name] = subprocess.Popen(
            [self.vcard, "serve", "--memory", memory, "--record", self.folder / f"{name}.record",
             "--control", self.folder / f"{name}.control", *options],
            cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            env={**os.environ, "RUST_LOG": "info"})
        self.started.append(self.cards[name])

    def reader(self, name, device, library, channel):
        (self.folder / "readers" / name).write_text(
            f'FRIENDLYNAME "{name}"\nDEVICENAME {device}\nLIBPATH {DRIVERS / library}\nCHANNELID {channel}\n')

    def daemon(self):
        log = (self.folder / "pcscd.log").open("w")
        process = subprocess.Popen(["pcscd", "-f", "-i", "-c", self.folder / "readers"], stdout=log, stderr=log,
                                   stdin=subprocess.DEVNULL,
                                   env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"})
        self.started.append(process)
        return process

    def tool(self, *arguments):
        told = subprocess.run(["opensc-tool", *arguments], capture_output=True, text=True, timeout=TOOL_S,
                              check=False)
        return told.stdout + told.stderr

    def readers(self):
        """Name and slot → (number, whether a card is in). pcscd puts a number of its own in between."""
        rows = re.findall(r"^(\d+) +(Yes|No) .*?(\w+) \d\d (\d\d)$", self.tool("-l"), re.M)
        return {f"{name} {slot}": (number, card == "Yes") for number, card, name, slot in rows}

    def wait(self, what, condition):
        end = time.monotonic() + WAIT_S
        while not condition():
            if time.monotonic() > end:
                self.check(False, what, str(self.readers()))
                return
            time.sleep(0.1)

    def control(self, name, command):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(str(self.folder / f"{name}.control"))
            s.sendall(command.encode() + b"\n")
            return json.loads(s.makefile().readline())

    def check(self, holds, what, told=""):
        print(f"  {'ok  ' if holds else 'FAIL'} {what}", flush=True)
        if not holds:
            self.failures.append(what)
            print("\n".join("       " + line for line in told.strip().splitlines()[-12:]), flush=True)

    def talk(self, name, atr, select, answer):
        number = self.readers().get(name, ("none", False))[0]
        told = self.tool("-r", number, "-a")
        self.check(re.match(r"3[bf]:", told) and atr in (None, told.strip()), f"{name}: answer to reset", told)
        for again in ("", ", again"):
            told = self.tool("-r", number, "-s", select)
            self.check("SW1=0x90, SW2=0x00" in told and answer in told, f"{name}: SELECT{again}", told)


class Exchange:
    """The library's reader and card line, by hand."""

    def __init__(self, rig, url):
        self.process = subprocess.Popen([EXCHANGE, url], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        rig.started.append(self.process)

    def __call__(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self):
        """Ends it; what it has said besides."""
        return self.process.communicate(timeout=WAIT_S)[0].strip()


def ours(rig):
    """The library's `pcsc:` in the place of opensc-tool."""
    readers = rig.readers()

    def expect(own, line, wanted, what):
        told = own(line)
        rig.check(told.startswith(wanted), f"pcsc: {what}", f"{line}: {told}")

    for name, protocol, atr in (("Block 00", 1, T1_ATR), ("Character 00", 0, TWINS[1][2]), ("Chain 00", 1, None),
                                ("Inverse 00", 0, None), ("Virtual 00", 1, T1_ATR), ("Virtual 01", 1, SLOTS[1][3])):
        own = Exchange(rig, f"pcsc:{readers[name][0]}")
        wanted = f"ready T={protocol} " + (atr or "").replace(":", "").upper()
        expect(own, "until present", "present", f"{name}: a card is in")
        for _ in range(2):
            expect(own, "activate", wanted, f"{name}: T={protocol}")
            for select, answer in ((SELECT_CAS, CAS), (SELECT_PURSE, PURSE)):
                if name != "Virtual 01" or select == SELECT_PURSE:
                    expect(own, f"command {select}", answer.replace(" ", ""), f"{name}: SELECT {select[10:-2]}")
        told = rig.tool("-r", readers[name][0], "-s", SELECT_CAS)
        rig.check("in use by another" in told, f"pcsc: {name}: nobody else has the card", told)
        rig.check(own.end() == "", f"pcsc: {name}: ends")
        rig.check("SW1" in rig.tool("-r", readers[name][0], "-s", SELECT_CAS), f"pcsc: {name}: is let go")

    own = Exchange(rig, "pcsc:Block%20")
    expect(own, "activate", "ready T=1", "by a part of the name")
    rig.control("Block", "remove")
    expect(own, f"command {SELECT_CAS}", "failed: ", "a command to a card that is pulled")
    expect(own, "until absent", "absent", "pulled")
    expect(own, "activate", "failed: card removed", "no card")
    rig.control("Block", "insert")
    expect(own, "until present", "present", "put back")
    expect(own, "activate", "ready T=1", "up again")
    expect(own, f"command {SELECT_CAS}", CAS.replace(" ", ""), "SELECT")
    own.end()

    for url, said in (("pcsc:Carrier%20pigeon", "no such reader, there are 0 '"), ("pcsc:99", "no such reader"),
                      ("pcsc:%ZZ", "name is '%ZZ', expected %XX"), ("pcsc:0?echo=1", "option is 'echo', expected none")):
        told = Exchange(rig, url).end()
        rig.check(told.startswith("failed: ") and said in told, f"pcsc: {url} is refused", told)


def silence(port):
    """A card in vpcd that has an answer to reset and no other."""
    card = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
    while message := card.recv(2, socket.MSG_WAITALL):
        if card.recv(int.from_bytes(message, "big"), socket.MSG_WAITALL) == b"\x04":
            card.sendall(bytes.fromhex("00023B00"))


def never(rig):
    """pcscd waits for ever for a card in vpcd; the library does not."""
    card = threading.Thread(target=silence, args=(SLOTS[0][1],), daemon=True)
    card.start()
    rig.wait("a silent card is in", lambda: rig.readers().get("Virtual 00", "  ")[1] is True)
    own = Exchange(rig, f"pcsc:{rig.readers()['Virtual 00'][0]}")
    told = own("activate")
    rig.check(told == "ready T=0 3B00", "pcsc: the silent card is up", told)
    told = own(f"command {SELECT_CAS}")
    rig.check("may have been executed" in told, "pcsc: a card that never answers is told", told)
    begin = time.monotonic()
    rig.check(own.end() == "" and time.monotonic() - begin < 5, "pcsc: and does not hold the library")


def inside(arguments, judge):
    """The other end of `outside`: a rig for `judge`, and nothing of it left afterwards."""
    def out_of_time(*_):
        raise TimeoutError(f"not done within {TIMEOUT_S} s")

    # Sooner than whoever started this would kill it, so that nothing is left running.
    signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(TIMEOUT_S - 20)
    flag, vcard, folder = arguments
    rig = Rig(vcard, Path(folder), flag == INSIDE)
    try:
        return judge(rig, Path(folder))
    finally:
        for process in rig.started:
            process.kill()
            process.wait()


def judge(rig, folder):
    for channel, (name, options, *_) in enumerate(TWINS, start=1):
        link = folder / f"{name}.port"
        rig.serve(name, "--line", "gempc-twin", "--link", link, *options)
        rig.reader(name, f"{link}:GemPCTwin", "libccidtwin.so", channel)
    rig.reader("Virtual", "/dev/null:0x8C7B", "libifdvpcd.so", "0x8C7B")
    rig.wait("every port is there", lambda: all((folder / f"{name}.port").exists() for name, *_ in TWINS))
    pcscd = rig.daemon()
    rig.wait("pcscd listens", lambda: COMMAND_FILE.exists())
    for name, port, slot, *_ in SLOTS:
        rig.serve(name, "--vpcd", f"127.0.0.1:{port}", "--slot", slot)
    names = [f"{name} 00" for name, *_ in TWINS] + [name for name, *_ in SLOTS]
    rig.wait("every card is in its reader", lambda: all(rig.readers().get(name, "  ")[1] is True for name in names))
    for name, _, atr, select, answer, recorded in TWINS:
        rig.talk(f"{name} 00", atr, select, answer)
        record = (folder / f"{name}.record").read_text()
        rig.check(recorded is None or recorded in record, f"{name}: the line", record)
    for name, _, _, atr, select, answer in SLOTS:
        rig.talk(name, atr, select, answer)
    log = (folder / "Faulty.log").read_text()
    rig.check(all(fault in log for fault in FAULTS.values()), "Faulty: every fault was there", log)
    for card, reader in (("Block", "Block 00"), ("Virtual 00", "Virtual 00")):
        rig.control(card, "remove")
        rig.wait(f"{card}: pulled", lambda: not rig.readers().get(reader, "  ")[1])
        rig.control(card, "insert")
        rig.wait(f"{card}: put back", lambda: rig.readers().get(reader, "  ")[1] is True)
        rig.talk(reader, T1_ATR, SELECT_CAS, CAS)
    ours(rig)
    left = Exchange(rig, "pcsc:Block")
    rig.check(left("activate").startswith("ready"), "pcsc: one that stays open")
    for name, process in rig.cards.items():
        process.terminate()
        rig.check(process.wait(WAIT_S) == 0, f"{name}: ends on SIGTERM", (folder / f"{name}.log").read_text())
    rig.check(not list(folder.glob("*.port")), "no link is left")
    never(rig)
    pcscd.terminate()
    pcscd.wait(WAIT_S)
    told = left(f"command {SELECT_CAS}")
    rig.check(told.startswith("failed: reader lost"), "pcsc: a pcscd that has ended is a lost reader", told)
    told = Exchange(rig, "pcsc:").end()
    rig.check("is pcscd running? start it" in told, "pcsc: without pcscd", told)
    if rig.failures:
        print((folder / "pcscd.log").read_text()[-4000:], file=sys.stderr)
    return 1 if rig.failures else 0


def main():
    if os.environ.get("STBCAM_SKIP_PCSC") == "1":
        print("pcsc: skipped, STBCAM_SKIP_PCSC=1")
        return 0
    if sys.argv[1:2] in ([INSIDE], [BARE]):
        return inside(sys.argv[1:4], judge)
    vcard = sys.argv[1] if len(sys.argv) > 1 else ROOT / "target" / "release" / "vcard"
    install(PACKAGES)
    subprocess.run(["make", "--silent", "pcsc-exchange"], cwd=ROOT, check=True, timeout=900)
    return outside(__file__, str(Path(vcard).resolve()))


if __name__ == "__main__":
    sys.exit(main())
