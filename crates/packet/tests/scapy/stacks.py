#!/usr/bin/python3
"""Random stacks of headers and what scapy reads in them: whole, with changed bytes, and cut.

usage: stacks.py SEED COUNT

Prints a line for each packet: how it was made, its bytes, and layers with the bytes of their headers and one of their
fields, as in `whole 0200...00 Ether:14 IP:20 GRE:8:42 IP:20 UDP:8:50001`. The same for the same seed. Needs
python3-scapy.
"""

import random
import struct
import sys

from scapy.all import (
    ARP, Dot1AD, Dot1Q, Ether, GRE, GRE_PPTP, ICMP, IP, IPv6, L2TP, LLC, PPPoE, Raw, SNAP, TCP, UDP, VXLAN,
    conf,
)
from scapy.contrib.erspan import ERSPAN_II, ERSPAN_III, ERSPAN_PlatformSpecific
from scapy.contrib.etherip import EtherIP
from scapy.contrib.geneve import GENEVE, GeneveOptions
from scapy.contrib.gtp import GTPPDUSessionContainer, GTP_U_Header
from scapy.contrib.mpls import EoMCW, MPLS
from scapy.packet import NoPayload, Padding

# The field of a layer that is compared.
FIELDS = {
    "Dot1Q": "vlan", "Dot1AD": "vlan", "MPLS": "label", "PPPoE": "sessionid", "PPP": "proto", "GRE": "key",
    "GRE_PPTP": "call_id", "ERSPAN_II": "session_id", "ERSPAN_III": "session_id", "VXLAN": "vni", "GENEVE": "vni",
    "GTP_U_Header": "teid", "L2TP": "session_id", "TCP": "dport", "UDP": "dport",
}

DEPTH = 6
CHANGED = 5
CUT = 6


def byte():
    return random.randrange(256)


def port():
    """Means nothing to anybody."""
    return random.randrange(50000, 51000)


def flag():
    return random.randrange(2)


def mac():
    return "02:00:5e:%02x:%02x:%02x" % (byte(), byte(), byte())


def ip4():
    return IP(src="10.1.%d.%d" % (byte(), byte()), dst="10.2.%d.%d" % (byte(), byte()))


def ip6():
    return IPv6(src="2001:db8::%x" % byte(), dst="2001:db8:1::%x" % byte())


def udp(number):
    return UDP(sport=port(), dport=number)


def gre(proto):
    fields = {}
    if flag():
        fields.update(key_present=1, key=byte())
    if flag():
        fields.update(seqnum_present=1, sequence_number=byte())
    if flag():
        fields.update(chksum_present=1)
    return GRE(proto=proto, **fields)


def ether():
    return Ether(src=mac(), dst=mac())


def options():
    return [GeneveOptions(classid=byte(), type=byte(), data=bytes(4 * random.randrange(4))) for _ in range(flag() * 2)]


def ppp(framed):
    """A protocol of a byte or of two, behind address and control or not."""
    return Raw((b"\xff\x03" if framed else b"") + (b"\x00\x21" if flag() else b"\x21"))


def l2tp():
    fields = random.choice(["", "length", "sequence", "length+sequence", "offset"])
    # Only with two bytes of padding scapy means the same as RFC 2661.
    header = L2TP(tunnel_id=byte(), session_id=byte(), offset=2, **({"hdr": fields} if fields else {}))
    return header / ppp(flag())


def gtp(session):
    if session:
        return GTP_U_Header(teid=byte(), gtp_type=255, E=1, next_ex=0x85) / GTPPDUSessionContainer(type=1, QFI=5)
    return GTP_U_Header(teid=byte(), gtp_type=255, S=flag())


# What may stand below: name of a piece: headers that announce what is inside by themselves, what may be inside.
LINK = ["tag", "service tag", "label", "pseudowire", "pppoe", "ip4", "ip6", "arp"]
NETWORK = [
    "ip4", "ip6", "gre4", "gre6", "gre frame", "gre label", "pptp", "erspan 1", "erspan 2", "erspan 3",
    "erspan 3 platform", "vxlan", "gpe4", "gpe6", "gpe frame", "geneve4", "geneve6", "geneve frame", "gtp",
    "gtp session", "l2tp", "mpls udp", "etherip", "tcp", "udp", "icmp",
]
PIECES = {
    "ether": (ether, LINK),
    "snap": (lambda: None, ["ip4"]),
    "tag": (lambda: Dot1Q(vlan=byte()), LINK),
    "service tag": (lambda: Dot1AD(vlan=byte()), LINK),
    "label": (lambda: MPLS(label=16 + byte(), ttl=64), ["label", "pseudowire", "ip4", "ip6"]),
    "pseudowire": (lambda: MPLS(label=16 + byte(), s=1, ttl=64) / EoMCW(seq=byte()), ["ether"]),
    "pppoe": (lambda: PPPoE(sessionid=byte()) / ppp(0), ["ip4"]),
    "ip4": (ip4, NETWORK),
    # Scapy has no EtherIP below IPv6.
    "ip6": (ip6, [piece for piece in NETWORK if piece not in ("icmp", "etherip")]),
    "gre4": (lambda: gre(0x0800), ["ip4"]),
    "gre6": (lambda: gre(0x86DD), ["ip6"]),
    "gre frame": (lambda: gre(0x6558), ["ether"]),
    "gre label": (lambda: gre(0x8847), ["label"]),
    "pptp": (lambda: GRE_PPTP(call_id=byte(), seqnum_present=flag(), acknum_present=flag()) / ppp(flag()), ["ip4"]),
    "erspan 1": (lambda: GRE(proto=0x88BE), ["ether"]),
    "erspan 2": (lambda: GRE(proto=0x88BE, seqnum_present=1) / ERSPAN_II(ver=1, session_id=byte()), ["ether"]),
    "erspan 3": (lambda: GRE(proto=0x22EB, seqnum_present=1) / ERSPAN_III(session_id=byte()), ["ether"]),
    "erspan 3 platform": (
        lambda: GRE(proto=0x22EB, seqnum_present=1) / ERSPAN_III(session_id=byte(), o=1) / ERSPAN_PlatformSpecific(),
        ["ether"],
    ),
    "vxlan": (lambda: udp(random.choice([4789, 8472])) / VXLAN(flags=8, vni=byte()), ["ether"]),
    "gpe4": (lambda: udp(4790) / VXLAN(flags=12, NextProtocol=1, vni=byte()), ["ip4"]),
    "gpe6": (lambda: udp(4790) / VXLAN(flags=12, NextProtocol=2, vni=byte()), ["ip6"]),
    "gpe frame": (lambda: udp(4790) / VXLAN(flags=12, NextProtocol=3, vni=byte()), ["ether"]),
    "geneve4": (lambda: udp(6081) / GENEVE(proto=0x0800, vni=byte(), options=options()), ["ip4"]),
    "geneve6": (lambda: udp(6081) / GENEVE(proto=0x86DD, vni=byte(), options=options()), ["ip6"]),
    "geneve frame": (lambda: udp(6081) / GENEVE(proto=0x6558, vni=byte(), options=options()), ["ether"]),
    "gtp": (lambda: udp(2152) / gtp(False), ["ip4", "ip6"]),
    "gtp session": (lambda: udp(2152) / gtp(True), ["ip4", "ip6"]),
    "l2tp": (lambda: UDP(sport=1701, dport=1701) / l2tp(), ["ip4"]),
    "mpls udp": (lambda: udp(6635), ["label"]),
    "etherip": (EtherIP, ["ether"]),
    "arp": (ARP, []),
    "tcp": (lambda: TCP(sport=port(), dport=port(), options=[("MSS", 1400)] * flag()) / Raw(bytes(8)), []),
    "udp": (lambda: UDP(sport=port(), dport=port()) / Raw(bytes(8)), []),
    "icmp": (lambda: ICMP(id=byte()) / Raw(bytes(8)), []),
}


def names():
    """A stack from the outside in: at most DEPTH pieces below the first, and what is needed to end it."""
    stack = ["snap" if random.randrange(20) == 0 else "ether"]
    while PIECES[stack[-1]][1]:
        inside = PIECES[stack[-1]][1]
        if len(stack) > DEPTH:
            inside = [piece for piece in ["tcp", "ip4", "ether", "ip6", "label"] if piece in inside][:1]
        stack.append(random.choice(inside))
    return stack


def build():
    packet = None
    for name in reversed(names()):
        if name == "snap":
            inside = bytes(LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=0x0800) / packet)
            packet = Raw(bytes(ether())[:12] + struct.pack("!H", len(inside)) + inside)
            continue
        header = PIECES[name][0]()
        packet = header if packet is None else header / packet
    return bytes(packet)


def read(data):
    layers = []
    layer = Ether(data)
    while layer and not isinstance(layer, (NoPayload, Raw, Padding)):
        header = layer.raw_packet_cache
        if isinstance(layer, GTPPDUSessionContainer):
            # It reads what follows as its own, and gives it on.
            header = layer.original[: len(layer.original) - len(layer.payload.original)]
        name = type(layer).__name__
        field = layer.getfieldval(FIELDS[name]) if name in FIELDS else None
        layers.append("%s:%d" % (name, len(header)) + ("" if field is None else ":%d" % field))
        layer = layer.payload
    return layers


def show(how, data):
    print(how, data.hex(), *read(data))


def change(data):
    data = bytearray(data)
    for _ in range(random.randrange(1, 3)):
        at = random.randrange(len(data))
        data[at] = byte() if flag() else data[at] ^ 1 << random.randrange(8)
    return bytes(data)


def main():
    random.seed(int(sys.argv[1]))
    conf.debug_dissector = False
    for _ in range(int(sys.argv[2])):
        data = build()
        show("whole", data)
        for _ in range(CHANGED):
            show("changed", change(data))
        for _ in range(CUT):
            show("cut", data[: random.randrange(14, len(data))])


if __name__ == "__main__":
    main()
