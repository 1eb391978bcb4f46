//! Packet filters: tcpdump's language, the classic BPF programs it becomes, and their interpreter.
