//! `client shell` as somebody at a terminal sees it, who presses Tab, Ctrl-C and Ctrl-D; and without a terminal.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use skydive_testnet::{Running, eventually, require_root};

use crate::stage::{ANALYZER, Host, SOON, Service, binary, stderr};

#[allow(dead_code, reason = "other tests need more of it")]
#[path = "spine/stage.rs"]
mod stage;

const TAB: &str = "\t";
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const UP: &str = "\x1b[A";

/// A program on a terminal of 100 columns.
struct Terminal {
    running: Running,
    keys: ChildStdin,
    pieces: Receiver<Vec<u8>>,
    /// What came and was not looked at yet, without what only moves the cursor or paints.
    seen: String,
    raw: Vec<u8>,
}

impl Terminal {
    /// `script` of util-linux makes the terminal: its standard input are the keys, its standard output is the screen.
    fn open(host: &Host, command: &str) -> Self {
        let line = format!("stty cols 100 rows 30; exec {} {command}", binary().display());
        let home = host.directory().display().to_string();
        let environment = [("HOME", home.as_str()), ("TERM", "xterm")];
        let mut command = host.command_of(&["script", "-qfec", &line, "/dev/null"], &environment);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut running = Running::start(&mut command).unwrap();
        let keys = running.child().stdin.take().unwrap();
        let mut screen = running.child().stdout.take().unwrap();
        let (sender, pieces) = mpsc::channel();
        thread::spawn(move || {
            let mut room = [0; 4096];
            while let Ok(size @ 1..) = screen.read(&mut room) {
                if sender.send(room[..size].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { running, keys, pieces, seen: String::new(), raw: Vec::new() }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits until the screen shows a text; gives all up to it.
    fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            match self.pieces.recv_timeout(SOON) {
                Ok(piece) => self.take(&piece),
                Err(why) => panic!("waiting for {text:?}: {why}; the screen has\n{}", self.seen),
            }
        }
    }

    fn take(&mut self, piece: &[u8]) {
        self.raw.extend_from_slice(piece);
        let Ok(text) = str::from_utf8(&self.raw) else { return };
        self.seen.push_str(&without_sequences(text));
        self.raw.clear();
    }

    /// Waits for the end; gives whether it was a good one, and the rest of the screen.
    fn end(mut self) -> (bool, String) {
        let status = eventually("the end", SOON, || self.running.child().try_wait().unwrap()).unwrap();
        while let Ok(piece) = self.pieces.recv_timeout(SOON) {
            self.take(&piece);
        }
        (status.success(), self.seen)
    }
}

/// The text without control sequences, of which a piece may hold a part only: their letters do no harm here.
fn without_sequences(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' => {
                if rest.next() == Some('[') {
                    let _ = rest.find(char::is_ascii_alphabetic);
                }
            }
            '\r' | '\x07' => {}
            c => plain.push(c),
        }
    }
    plain
}

/// A host with an analyzer that has two nodes and an edge.
fn stand(hint: &str) -> (Host, Service) {
    let host = Host::new(hint);
    let service = host.start(&["analyzer"], &[("SKYDIVE_HOST_ID", "a1")]);
    host.ask(ANALYZER, |_| {});
    let element =
        |id: &str| format!(r#"{{"ID":"{id}","Metadata":{{"Name":"{id}","Type":"switch","Rack":"it's 7"}}}}"#);
    let edge = r#"{"ID":"e","Parent":"tor-1","Child":"tor-2","Metadata":{"RelationType":"layer2"}}"#;
    let graph = format!(r#"[{{"Nodes":[{},{}],"Edges":[{edge}]}}]"#, element("tor-1"), element("tor-2"));
    fs::write(host.directory().join("g.json"), graph).unwrap();
    let file = host.directory().join("g.json");
    let output = host.run(&["client", "topology", "import", "--file", file.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    (host, service)
}

#[test]
fn tab_completes_steps_keys_and_values_of_the_live_graph() {
    if !require_root() {
        return;
    }
    let (host, _service) = stand("complete");
    let mut terminal = Terminal::open(&host, "client shell");
    terminal.until("analyzer a1, version ");
    terminal.until("shell> ");
    terminal.press(&format!("g{TAB}"));
    terminal.until("G.");
    terminal.press(&format!("V().h{TAB}"));
    terminal.until("HasEither(");
    terminal.press(&format!("('Na{TAB}"));
    terminal.until("Has('Name'");
    terminal.press(&format!(",'to{TAB}"));
    terminal.until("tor-1");
    terminal.until("tor-2");
    terminal.until("shell> G.V().Has('Name','tor-");
    terminal.press(&format!("2{TAB}"));
    terminal.until("'tor-2'");
    terminal.press(&format!(").Val{TAB}"));
    terminal.until("ValueMap(");
    terminal.press(&format!("s(Ra{TAB}"));
    terminal.until("Values('Rack'");
    terminal.press(")\r");
    terminal.until("\nit's 7\n");
    terminal.until("shell> ");
    // One among many more than are looked at, in another case, and with a dot.
    let nodes: Vec<String> = (0..1000)
        .map(|n| format!(r#"{{"ID":"m{n}","Metadata":{{"Name":"Many.{n}","Type":"t"}}}}"#))
        .collect();
    fs::write(host.directory().join("m.json"), format!(r#"[{{"Nodes":[{}]}}]"#, nodes.join(","))).unwrap();
    let file = host.directory().join("m.json");
    assert!(host.run(&["client", "topology", "import", "--file", file.to_str().unwrap()]).status.success());
    terminal.press(&format!("G.V().Has('Name','many.998{TAB})\r"));
    terminal.until("'Many.998'");
    terminal.until("───");
    terminal.until("shell> ");
    // A value with a quote in it, and keys of edges.
    terminal.press(&format!("G.V().Has('Rack',{TAB}"));
    terminal.until("Between(");
    terminal.until("shell> G.V().Has('Rack',");
    terminal.press(&format!("it{TAB}"));
    terminal.until("\"it's 7\"");
    terminal.press(CTRL_C);
    terminal.until("shell> ");
    terminal.press(&format!("G.E().Has('Rel{TAB}"));
    terminal.until("G.E().Has('RelationType'");
    terminal.press(&format!(",'l{TAB}).Count()\r"));
    terminal.until("\n1\n");
    terminal.until("shell> ");
    terminal.press(CTRL_D);
    let (is_good, rest) = terminal.end();
    assert!(is_good, "{rest}");
    let history = fs::read_to_string(host.directory().join(".skydive_history")).unwrap();
    assert!(history.contains("G.V().Has('Name','tor-2').Values('Rack')\n"), "{history}");
}

#[test]
fn lines_go_on_mistakes_are_drawn_and_answers_are_tables_or_json() {
    if !require_root() {
        return;
    }
    let (host, _service) = stand("lines");
    let history = host.directory().join("lines");
    let command = format!("client shell --history {}", history.display());
    let mut terminal = Terminal::open(&host, &command);
    terminal.until("shell> ");
    terminal.press("G.V(\r");
    terminal.until("..... ");
    terminal.press(").Has('Name', 'tor-1'\r");
    terminal.until("..... ");
    terminal.press(")\r");
    let table = terminal.until("shell> ");
    assert!(table.contains(" Name ") && table.contains("───") && table.contains(" switch "), "{table}");
    terminal.press("\\json\r");
    terminal.until("answers are JSON\n");
    terminal.press(&format!("{UP}{UP}"));
    terminal.until("G.V( ).Has('Name', 'tor-1' )");
    terminal.press("\r");
    terminal.until("\t\t\"ID\": \"tor-1\",\n");
    terminal.until("shell> ");
    terminal.press("G.V().Nonsense()\r");
    let said = terminal.until("^\n");
    assert!(said.contains("error: ") && said.ends_with("\n  G.V().Nonsense()\n        ^\n"), "{said}");
    // What was begun is given up with Ctrl-C, and an empty line ends it.
    terminal.until("shell> ");
    terminal.press("G.V(\r");
    terminal.until("..... ");
    terminal.press(CTRL_C);
    terminal.until("shell> ");
    terminal.press("G.V(\r");
    terminal.until("..... ");
    terminal.press("\r");
    terminal.until("error: ");
    terminal.until("shell> ");
    terminal.press("help hasnot\r");
    terminal.until("HasNot(key)\n");
    terminal.until("after nodes: gives nodes\n");
    terminal.press("help\r");
    terminal.until("ShortestPathTo");
    terminal.until("shell> ");
    terminal.press("quit\r");
    let (is_good, rest) = terminal.end();
    assert!(is_good, "{rest}");

    // The next one remembers.
    assert!(fs::read_to_string(&history).unwrap().contains("G.V( ).Has('Name', 'tor-1' )\n"));
    let mut terminal = Terminal::open(&host, &command);
    terminal.until("shell> ");
    terminal.press(UP);
    terminal.until("quit");
    terminal.press("\r");
    assert!(terminal.end().0);
}

/// An analyzer that says who it is and never answers a query; gives the connections of those who ask one.
fn silent_analyzer() -> (String, Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, asked) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                request.push(byte[0]);
            }
            let request = String::from_utf8(request).unwrap();
            let (status, body) = match request.split_whitespace().nth(1) {
                Some("/api") => ("200 OK", r#"{"Host":"h","Version":"0","Service":"analyzer"}"#),
                Some("/api/topology") => {
                    if sender.send(stream).is_err() {
                        return;
                    }
                    continue;
                }
                _ => ("404 Not Found", "404 page not found\n"),
            };
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all((head + body).as_bytes());
        }
    });
    (address, asked)
}

#[test]
fn ctrl_c_ends_a_query_and_not_the_shell() {
    if !require_root() {
        return;
    }
    let host = Host::new("cancel");
    host.enter(|| {
        let (address, asked) = silent_analyzer();
        let mut terminal = Terminal::open(&host, &format!("client shell --analyzer {address}"));
        terminal.until("analyzer h, version 0 at ");
        terminal.until("shell> ");
        for _ in 0..2 {
            terminal.press("G.V()\r");
            let mut stream = asked.recv_timeout(SOON).unwrap();
            terminal.press(CTRL_C);
            terminal.until("cancelled\n");
            terminal.until("shell> ");
            // The analyzer sees that nobody waits any more.
            stream.set_read_timeout(Some(SOON)).unwrap();
            let mut rest = Vec::new();
            assert!(stream.read_to_end(&mut rest).is_ok());
        }
        terminal.press(&format!("G{TAB}"));
        terminal.press(CTRL_C);
        terminal.until("shell> ");
        terminal.press(CTRL_D);
        assert!(terminal.end().0);
    });
}

#[test]
fn scripts_run_up_to_the_first_mistake() {
    if !require_root() {
        return;
    }
    let (host, _service) = stand("script");
    let file = host.directory().join("queries");
    let path = file.to_str().unwrap();
    let run = |text: &str| {
        fs::write(&file, text).unwrap();
        host.run(&["client", "shell", "--script", path])
    };
    let output = run("# nodes\nG.V(\n).Count()\n\n  \\json\nG.E().Count()\nquit\nG.Nonsense()");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout.clone()).unwrap(), "2\nanswers are tables\n1\n");
    let output = run("G.V().Values('Name')\n\nG.V(\n).Nonsense()\nG.E()\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout.clone()).unwrap(), "[\n\t\"tor-1\",\n\t\"tor-2\"\n]\n");
    let said = stderr(&output);
    assert!(
        said.contains("\n    ^\n") && said.ends_with(&format!("error: {path}:3: the script ends here\n")),
        "{said}"
    );
    let output = run("G.V(");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("error: "), "{output:?}");

    // Standard input that is no terminal is a script too.
    fs::write(&file, "G.V().Count()\n").unwrap();
    let mut command = host.command(&["client", "shell"], &[]);
    let output = command.stdin(fs::File::open(&file).unwrap()).output().unwrap();
    assert_eq!((output.status.success(), output.stdout.as_slice()), (true, b"2\n".as_slice()), "{output:?}");
    let output = host.run(&["client", "shell", "--script", "/nonexistent"]);
    assert!(stderr(&output).contains("/nonexistent: No such file"), "{output:?}");
}
