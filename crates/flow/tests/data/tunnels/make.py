#!/usr/bin/python3
"""Makes the captures of this folder with scapy: one per encapsulation, named as in expected.txt.

Each carries the same five packets: TCP 40000>80 with 10, 100 (back) and 0 bytes of payload, UDP 40001>5000 with 20 and
30 (back). Outer hosts are 02:00:00:00:00:01 192.0.2.1 2001:db8::1 and ...:02, inner ones 02:00:00:00:00:11 10.0.0.1
2001:db8:1::1 and ...:12. Needs python3-scapy; what scapy 2.5 has no layer for is written as bytes.
"""

import pathlib
import struct

from scapy.all import (
    CookedLinux, Dot1AD, Dot1Q, Ether, GRE, GRE_PPTP, IP, IPv6, L2TP, LLC, PPP, PPPoE, Raw, SNAP, TCP, UDP, VXLAN,
)
from scapy.contrib.erspan import ERSPAN_II, ERSPAN_III, ERSPAN_PlatformSpecific
from scapy.contrib.geneve import GENEVE, GeneveOptions
from scapy.contrib.gtp import GTPPDUSessionContainer, GTP_U_Header
from scapy.contrib.mpls import EoMCW, MPLS
from scapy.layers.l2 import CookedLinuxV2

MAC = "02:00:00:00:00:%02x"


def sides(form, back):
    """Source and destination of a direction."""
    a, b = form % 1, form % 2
    return (b, a) if back else (a, b)


def frame(back, inner=False, **fields):
    a, b = (MAC % 0x11, MAC % 0x12) if inner else (MAC % 1, MAC % 2)
    return Ether(src=b if back else a, dst=a if back else b, **fields)


def ip4(back, inner=False, **fields):
    a, b = sides("10.0.0.%d" if inner else "192.0.2.%d", back)
    return IP(src=a, dst=b, id=0, **fields)


def ip6(back, inner=False, **fields):
    a, b = sides("2001:db8:1::%d" if inner else "2001:db8::%d", back)
    return IPv6(src=a, dst=b, **fields)


def transports():
    """The five payloads of IP, with their direction and a number for the conversation."""
    for back, length in ((False, 10), (True, 100), (False, 0)):
        a, b = (80, 40000) if back else (40000, 80)
        yield back, 0, TCP(sport=a, dport=b, flags="A") / Raw(bytes(length))
    for back, length in ((False, 20), (True, 30)):
        a, b = (5000, 40001) if back else (40001, 5000)
        yield back, 1, UDP(sport=a, dport=b) / Raw(bytes(length))


def spread(back, number):
    """The source port by which a tunnel over UDP spreads flows: another one for each inner flow and direction."""
    return 50000 + number + (2 if back else 0)


def udp(back, number, port):
    return UDP(sport=spread(back, number), dport=port)


def e4(back):
    """An outer header down to IPv4."""
    return frame(back) / ip4(back)


def e6(back):
    return frame(back) / ip6(back)


def i4(back, transport):
    """An inner packet."""
    return ip4(back, True) / transport


def i6(back, transport):
    return ip6(back, True) / transport


def ie(back, transport):
    """An inner frame."""
    return frame(back, True) / i4(back, transport)


def gpe(number):
    return VXLAN(flags=0x0C, vni=100, NextProtocol=number)


def labels(*numbers):
    stack = MPLS(label=numbers[-1], s=1, ttl=64)
    for number in reversed(numbers[:-1]):
        stack = MPLS(label=number, s=0, ttl=64) / stack
    return stack


def pptp(back, packet):
    payload = PPP(b"\xff\x03\x00\x21" + bytes(packet))
    return GRE_PPTP(call_id=8 if back else 7, payload_len=len(payload), seqnum_present=1, seqence_number=1) / payload


def l2tp2(packet):
    payload = b"\xff\x03\x00\x21" + bytes(packet)
    return Raw(struct.pack("!HHHH", 0x4002, 8 + len(payload), 1, 2) + payload)


def gtp(packet, **fields):
    return GTP_U_Header(teid=9, gtp_type=255, **fields) / packet


ETHERNET, NULL, RAW, LOOP, SLL, SLL2 = 1, 0, 101, 108, 113, 276

# Name: link type, packet of (back, number, transport).
CAPTURES = {
    "dot1q": (ETHERNET, lambda b, n, t: frame(b) / Dot1Q(vlan=10) / i4(b, t)),
    "dot1ad": (ETHERNET, lambda b, n, t: frame(b, type=0x88A8) / Dot1AD(vlan=8) / Dot1Q(vlan=10) / i4(b, t)),
    "dot1q-3": (
        ETHERNET,
        lambda b, n, t: frame(b, type=0x88A8) / Dot1AD(vlan=1) / Dot1Q(vlan=2) / Dot1Q(vlan=3) / i6(b, t),
    ),
    "mpls": (ETHERNET, lambda b, n, t: frame(b) / labels(16) / i4(b, t)),
    "mpls-3": (ETHERNET, lambda b, n, t: frame(b) / labels(16, 17, 18) / i6(b, t)),
    "mpls-frame": (ETHERNET, lambda b, n, t: frame(b) / labels(100) / EoMCW(seq=1) / ie(b, t)),
    "gre": (ETHERNET, lambda b, n, t: e4(b) / GRE() / i4(b, t)),
    "gre-full": (
        ETHERNET,
        lambda b, n, t: e4(b) / GRE(chksum_present=1, key_present=1, key=42, seqnum_present=1) / i4(b, t),
    ),
    "gre-frame": (ETHERNET, lambda b, n, t: e4(b) / GRE(proto=0x6558) / ie(b, t)),
    "gre-6": (ETHERNET, lambda b, n, t: e6(b) / GRE(proto=0x86DD) / i6(b, t)),
    "gre-gre": (
        ETHERNET,
        lambda b, n, t: e4(b) / GRE(key_present=1, key=1) / ip4(b) / GRE(key_present=1, key=2) / i4(b, t),
    ),
    "nvgre": (ETHERNET, lambda b, n, t: e4(b) / GRE(proto=0x6558, key_present=1, key=0x00123405) / ie(b, t)),
    "pptp": (ETHERNET, lambda b, n, t: e4(b) / pptp(b, i4(b, t))),
    "vxlan": (ETHERNET, lambda b, n, t: e4(b) / udp(b, n, 4789) / VXLAN(flags=8, vni=100) / ie(b, t)),
    "vxlan-linux": (ETHERNET, lambda b, n, t: e6(b) / udp(b, n, 8472) / VXLAN(flags=8, vni=101) / ie(b, t)),
    "vxlan-gpe": (ETHERNET, lambda b, n, t: e4(b) / udp(b, n, 4790) / gpe(1) / i4(b, t)),
    "vxlan-gpe-frame": (ETHERNET, lambda b, n, t: e4(b) / udp(b, n, 4790) / gpe(3) / ie(b, t)),
    "geneve": (ETHERNET, lambda b, n, t: e4(b) / udp(b, n, 6081) / GENEVE(vni=100, proto=0x0800) / i4(b, t)),
    "geneve-options": (
        ETHERNET,
        lambda b, n, t: e4(b)
        / udp(b, n, 6081)
        / GENEVE(vni=100, proto=0x6558, options=[GeneveOptions(classid=0x102, type=3, data=b"four")])
        / ie(b, t),
    ),
    "ip4-in-ip4": (ETHERNET, lambda b, n, t: e4(b) / i4(b, t)),
    "ip6-in-ip4": (ETHERNET, lambda b, n, t: e4(b) / i6(b, t)),
    "ip4-in-ip6": (ETHERNET, lambda b, n, t: e6(b) / i4(b, t)),
    "ip6-in-ip6": (ETHERNET, lambda b, n, t: e6(b) / i6(b, t)),
    "erspan-1": (ETHERNET, lambda b, n, t: e4(b) / GRE(proto=0x88BE) / Raw(bytes(ie(b, t)))),
    "erspan-2": (
        ETHERNET,
        lambda b, n, t: e4(b) / GRE(proto=0x88BE, seqnum_present=1) / ERSPAN_II(ver=1, vlan=5, session_id=9) / ie(b, t),
    ),
    "erspan-3": (
        ETHERNET,
        lambda b, n, t: e4(b) / GRE(proto=0x22EB, seqnum_present=1) / ERSPAN_III(vlan=5, session_id=9) / ie(b, t),
    ),
    "erspan-3-platform": (
        ETHERNET,
        lambda b, n, t: e4(b)
        / GRE(proto=0x22EB, seqnum_present=1)
        / ERSPAN_III(vlan=5, session_id=9, o=1)
        / ERSPAN_PlatformSpecific()
        / ie(b, t),
    ),
    "gtpu": (ETHERNET, lambda b, n, t: e4(b) / UDP(sport=2152, dport=2152) / gtp(i4(b, t))),
    "gtpu-session": (
        ETHERNET,
        lambda b, n, t: e4(b)
        / UDP(sport=2152, dport=2152)
        / gtp(GTPPDUSessionContainer(type=1, QFI=5) / i4(b, t), E=1, next_ex=0x85),
    ),
    "mpls-udp": (ETHERNET, lambda b, n, t: e4(b) / UDP(sport=50000, dport=6635) / labels(16, 17) / i4(b, t)),
    "mpls-gre": (ETHERNET, lambda b, n, t: e4(b) / GRE(proto=0x8847) / labels(16) / i4(b, t)),
    "l2tp-2": (ETHERNET, lambda b, n, t: e4(b) / UDP(sport=1701, dport=1701) / l2tp2(i4(b, t))),
    "l2tp-3-udp": (
        ETHERNET,
        lambda b, n, t: e4(b) / UDP(sport=1701, dport=1701) / Raw(struct.pack("!HHI", 3, 0, 5) + bytes(ie(b, t))),
    ),
    "l2tp-3": (ETHERNET, lambda b, n, t: frame(b) / ip4(b, proto=115) / Raw(struct.pack("!I", 5) + bytes(ie(b, t)))),
    "pppoe": (ETHERNET, lambda b, n, t: frame(b) / PPPoE(sessionid=7) / PPP(b"\x00\x21" + bytes(i4(b, t)))),
    "snap": (ETHERNET, lambda b, n, t: snap(b, i4(b, t))),
    "sll": (SLL, lambda b, n, t: CookedLinux(proto=0x0800, lladdrlen=6) / i4(b, t)),
    "sll2": (SLL2, lambda b, n, t: CookedLinuxV2(proto=0x86DD, lladdrlen=6, ifindex=2) / i6(b, t)),
    "raw": (RAW, lambda b, n, t: i4(b, t)),
    "raw-6": (RAW, lambda b, n, t: i6(b, t)),
    "null": (NULL, lambda b, n, t: Raw(struct.pack("<I", 2) + bytes(i4(b, t)))),
    "loop": (LOOP, lambda b, n, t: Raw(struct.pack(">I", 24) + bytes(i6(b, t)))),
}


def snap(back, packet):
    """802.3 with the length in place of the type."""
    payload = bytes(LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=0x0800) / packet)
    ether = bytes(frame(back))[:12]
    return Raw(ether + struct.pack("!H", len(payload)) + payload)


def main():
    for name, (link, packet) in CAPTURES.items():
        file = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link)
        for number, (back, conversation, transport) in enumerate(transports()):
            data = bytes(packet(back, conversation, transport))
            file += struct.pack("<IIII", 1_700_000_000, number * 1000, len(data), len(data)) + data
        (pathlib.Path(__file__).parent / (name + ".pcap")).write_bytes(file)


if __name__ == "__main__":
    main()
