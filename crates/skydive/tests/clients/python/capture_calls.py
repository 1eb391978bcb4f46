"""Every call of skydive-client's RESTClient about captures, beside an analyzer with an agent.

Usage: capture_calls.py ADDRESS
"""

import sys

from expect import eventually, refused
from skydive.rest.client import RESTClient

VETH0 = "G.V().Has('Name', 'veth0')"


def main():
    client = RESTClient(sys.argv[1])
    assert client.capture_list() == []
    made = client.capture_create(
        VETH0,
        name="n",
        description="d",
        extra_tcp_metric=True,
        ip_defrag=True,
        reassemble_tcp=True,
        layer_key_mode="L3",
        bpf_filter="tcp or icmp",
        capture_type="pcap",
        port=6343,
        raw_pkt_limit=2,
        header_size=128,
        target="",
        target_type="local",
        polling_interval=5,
        sampling_rate=7,
    )
    assert made.uuid and made.query == VETH0 and made.count == 0
    assert (made.name, made.description, made.capture_type) == ("n", "d", "pcap")
    assert (made.extra_tcp_metric, made.ip_defrag, made.reassemble_tcp) == (True, True, True)
    assert (made.layer_key_mode, made.bpf_filter, made.port) == ("L3", "tcp or icmp", 6343)
    assert (made.raw_pkt_limit, made.header_size, made.target_type) == (2, 128, "local")
    assert (made.polling_interval, made.sampling_rate) == (5, 7)
    assert refused(lambda: client.capture_create(VETH0, bpf_filter="tcp or icmp", capture_type="pcap")) == b"duplicated resource\n"
    assert b"BPFFilter: Not a valid BPF expression" in refused(lambda: client.capture_create(VETH0, bpf_filter="tcp port"))
    assert b"GremlinQuery: Not a valid Gremlin" in refused(lambda: client.capture_create("G.V("))
    assert b"it asks for flows" in refused(lambda: client.capture_create("G.Flows().CaptureNode()"))
    plain = client.capture_create(VETH0)
    assert plain.layer_key_mode == "L2"

    counts = lambda: {capture.uuid: capture.count for capture in client.capture_list()}
    eventually("captures on a node", lambda: counts() == {made.uuid: 1, plain.uuid: 1})
    (node,) = client.lookup_nodes(VETH0)
    assert sorted(entry["ID"] for entry in node.metadata["Captures"]) == sorted([made.uuid, plain.uuid])
    assert client.lookup("G.V().Has('Captures.ID', '%s').Values('Name')" % plain.uuid) == ["veth0"]

    for capture in (made, plain):
        assert client.capture_delete(capture.uuid) == b""
    assert client.capture_list() == []
    eventually("the end of captures", lambda: client.lookup("G.V().HasKey('Captures').Count()") == 0)
    assert b"not found" in refused(lambda: client.capture_delete(made.uuid))


main()
