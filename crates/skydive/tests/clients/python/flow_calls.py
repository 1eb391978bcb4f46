"""Who talks to whom, by skydive-client's RESTClient and WSClient, beside an analyzer with an agent.

Usage: flow_calls.py ADDRESS PEER URL

Captures veth0, subscribes to flows, pings PEER, downloads URL, and asks for both.
"""

import json
import subprocess
import sys

from expect import eventually
from skydive.rest.client import RESTClient
from skydive.websocket.client import WSClient, WSClientDefaultProtocol

PINGS = 4
# Seconds.
DEADLINE = 30


class Subscriber(WSClientDefaultProtocol):
    """Makes traffic when it is connected, and ends when it was told of all of it."""

    heard = {}

    def onOpen(self):
        _, peer, url = sys.argv[1:]
        subprocess.run(["ping", "-q", "-c", str(PINGS), "-i", "0.05", peer], check=True, stdout=subprocess.DEVNULL)
        page = subprocess.run(["curl", "-s", "--max-time", "5", url], check=True, stdout=subprocess.PIPE)
        assert page.stdout == b"hello\n", page.stdout
        self.factory.client.loop.call_later(DEADLINE, self.stop)

    def onMessage(self, payload, is_binary):
        message = json.loads(payload)
        if message["Namespace"] != "flow":
            assert message["Namespace"] == "stats", message
            return
        assert message["Type"] == "store", message
        for flow in message["Obj"]:
            self.heard[flow["UUID"]] = flow
        if ping(self.heard.values()) and download(self.heard.values()):
            self.stop()


def ping(flows):
    return [f for f in flows if f["Application"] == "ICMPv4" and f["Metric"]["BAPackets"] == PINGS]


def download(flows):
    # Both have said that they end.
    return [f for f in flows if f.get("Transport", {}).get("B") == 80 and f.get("FinishType") == 2]


def main():
    address = sys.argv[1]
    client = RESTClient(address)
    # Other tests have one of this name in their namespaces.
    capture = client.capture_create("G.V().Has('Type', 'host').Out('Name', 'veth0')")
    eventually("the capture", lambda: [c.count for c in client.capture_list()] == [1])

    subscriber = WSClient("py-flows", "ws://%s/ws/subscriber/flow" % address, protocol=Subscriber)
    subscriber.connect()
    subscriber.start()
    heard = Subscriber.heard.values()
    assert ping(heard) and download(heard), list(heard)

    flows = client.lookup("G.Flows()")
    (echo,), (page,) = ping(flows), download(flows)
    assert echo["Metric"]["ABPackets"] == PINGS and echo["Metric"]["ABBytes"] == PINGS * 98, echo
    assert page["Process"]["A"]["Name"] == "curl", page
    assert page["CaptureID"] == capture.uuid, page
    (metrics,) = client.lookup("G.Flows().Has('Application','HTTP').Metrics()")
    (counters,) = metrics[page["UUID"]]
    for counter in "ABPackets", "ABBytes", "BAPackets", "BABytes":
        assert counters[counter] == page["Metric"][counter] > 0, (metrics, page)
    (node,) = client.lookup_nodes("G.Flows().Has('Application','ICMPv4').CaptureNode()")
    assert node.metadata["Name"] == "veth0"


main()
