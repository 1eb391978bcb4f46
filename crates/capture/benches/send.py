"""Sends small UDP packets of many conversations through an interface: send.py INTERFACE RATE SECONDS CONVERSATIONS

Prints how many. Around the queues of the interface, many at once: more than half a million a second on one core.
"""

import ctypes
import socket
import struct
import sys
import time

interface, rate, seconds, conversations = sys.argv[1], *map(float, sys.argv[2:5])
TOGETHER = 64
SOL_PACKET, PACKET_QDISC_BYPASS = 263, 20


class IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class MsgHdr(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint),
        ("iov", ctypes.POINTER(IoVec)),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class MMsgHdr(ctypes.Structure):
    _fields_ = [("hdr", MsgHdr), ("len", ctypes.c_uint)]


def frame(number):
    ethernet = bytes.fromhex("020000000099" "020000000001" "0800")
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 46, 0, 0, 64, 17, 0, bytes([10, 99, 0, 1]), bytes([10, 99, 0, 2]))
    return ethernet + ip + struct.pack("!HHHH", 40000, 10000 + number, 26, 0) + bytes(18)


frames = [ctypes.create_string_buffer(frame(number), 60) for number in range(int(conversations))]
vectors = (IoVec * len(frames))(*(IoVec(ctypes.addressof(f), 60) for f in frames))
messages = (MMsgHdr * len(frames))()
for at, message in enumerate(messages):
    message.hdr.iov, message.hdr.iovlen = ctypes.pointer(vectors[at]), 1

packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
packet.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
packet.bind((interface, 0))
libc = ctypes.CDLL(None, use_errno=True)
pieces = [ctypes.byref(messages, at * ctypes.sizeof(MMsgHdr)) for at in range(0, len(frames), TOGETHER)]
fd, sent, started = packet.fileno(), 0, time.monotonic()
while time.monotonic() - started < seconds:
    for piece in pieces:
        # What finds no room is not sent, and not counted.
        sent += max(0, libc.sendmmsg(fd, piece, TOGETHER, 0))
    ahead = sent / rate - (time.monotonic() - started)
    if ahead > 0:
        time.sleep(ahead)
print(sent)
