"""skydive-shell as a person uses it: on a terminal, with the completions it asks the analyzer for.

Usage: shell_calls.py PROGRAM ADDRESS

The analyzer knows two nodes: Name a, Type device, and Name b, Type host.
"""

import os
import pty
import re
import select
import sys
import time

from skydive.rest.client import RESTClient
from skydive_shell.shell import get_completions

DEADLINE = 20
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r")


class Terminal:
    def __init__(self, program, *arguments):
        self.shown = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm", PROMPT_TOOLKIT_NO_CPR="1", COLUMNS="100", LINES="40")
            os.execv(program, [program, *arguments])

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def expect(self, pattern):
        """Waits for a text, and takes all up to its end off what was shown."""
        end = time.monotonic() + DEADLINE
        while True:
            plain = CONTROL.sub("", self.shown)
            found = re.search(pattern, plain, re.S)
            if found:
                self.shown = plain[found.end() :]
                return found
            wait = end - time.monotonic()
            assert wait > 0, "no %r in %r" % (pattern, plain)
            if select.select([self.fd], [], [], wait)[0]:
                self.shown += os.read(self.fd, 65536).decode()

    def ended(self):
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def completions(address):
    client = RESTClient(address)
    proposals = lambda text: get_completions(client, text)[1]
    assert "Has(" in proposals("G.V()."), proposals("G.V().")
    # These ask the analyzer: G.V().keys(), G.V().values("Name"), G.V().Has("Type","host").values("Name").
    fields = [key for key in proposals("G.V().Has(") if not key.startswith('"@')]
    assert fields == ['"Name"', '"Type"', '"Vendor"'], fields
    assert proposals('G.V().Has("Na') == ['"Name"']
    assert proposals('G.V().Has("Name",') == ['"a"', '"b"']
    assert proposals('G.V().Has("Type","host").Has("Name",') == ['"b"']
    assert {'"Name"', '"@Host"'} <= set(proposals("G.V().Values("))
    # What a later version of its parser makes of the same question.
    assert sorted(client.lookup('G.V().values("Name",)')) == ["a", "b"]


def session(program, address):
    host, port = address.split(":")
    terminal = Terminal(program, "--host", host, "--port", port)
    terminal.expect("Type [?] for help.*>")
    for query, answer in [
        ("G.V().Count()", r"\n2\n"),
        ('G.V().Has("Name","a").Values("Type")', r'\[\s*"device"\s*\]'),
        ("G.V().Keys()", r'"Name",\s*"Type",\s*"Vendor"\s*\]'),
        ('G.V().Has("Name","a").Out().Dedup().Limit(1)', r'"Name": "b".*\n\]'),
        ('G.V().Has("Name","nobody")', r"\[\]"),
    ]:
        terminal.type(query + "\r")
        terminal.expect(answer)
    terminal.type("set format pretty\r")
    terminal.expect("Set format pretty")
    terminal.type('G.V("b")\r')
    terminal.expect(r"ID b\s+Host +h\s+Metadata.Name +b\s+Metadata.Type +host")
    # The proposals show while one types; Tab takes the only one.
    terminal.type('G.V().Has("Ve')
    terminal.expect('"Vendor"')
    terminal.type('\t).Count()\r')
    terminal.expect("Has")
    terminal.type("set format json\r")
    terminal.expect("Set format json")
    terminal.type("exit\r")
    assert terminal.ended() == 0


completions(sys.argv[2])
session(*sys.argv[1:])
