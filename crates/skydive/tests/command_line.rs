//! The binary from outside: exit codes, what goes to which stream, and the files named in complaints.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::{self, JoinHandle};

/// A directory that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("skydive-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn skydive() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skydive"));
    command.env_clear().stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    skydive().args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// An analyzer that gives one answer and returns the request it got.
fn answer_once(head: &str, body: &str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer =
        format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = read_request(&mut stream);
        stream.write_all(answer.as_bytes()).unwrap();
        request
    };
    (address, thread::spawn(serve))
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut request = String::new();
    let mut byte = [0];
    while !request.ends_with("\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        request.push(byte[0] as char);
    }
    let length =
        request.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
    request + &String::from_utf8(body).unwrap()
}

#[test]
fn version_prints_the_line_of_the_original() {
    let output = skydive().arg0("/usr/bin/skydive").arg("version").output().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(stdout(&output), format!("/usr/bin/skydive github.com/skydive-project/skydive {version}\n"));
    assert!(output.status.success());
    let output = skydive().arg0("skydive-cli").arg("version").output().unwrap();
    assert!(stdout(&output).starts_with("skydive-cli github.com/skydive-project/skydive "));
}

#[test]
fn completion_scripts_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = run(&["completion", shell]);
        let script = stdout(&output);
        assert!(output.status.success(), "{shell}");
        for word in
            ["allinone", "skydive-cli", "node-rule", "noderule", "--relationtype", "topology", "--analyzer"]
        {
            assert!(script.contains(word) || script.contains(&word.replace("--", "-l ")), "{shell}: {word}");
        }
    }
    let folder = Folder::new("completion");
    let output = skydive().current_dir(&folder.0).arg("bash-completion").output().unwrap();
    assert!(stdout(&output).contains("skydive-bash-completion.sh"));
    let path = folder.0.join("skydive-bash-completion.sh");
    assert!(fs::read_to_string(&path).unwrap().contains("allinone"));

    // Bash itself, for both names of the binary.
    let complete = |name: &str, words: &[&str]| {
        let all = words.join(" ");
        let script = format!(
            ". {}; COMP_WORDS=({name} {all}); COMP_CWORD={}; COMP_LINE='{name} {all}'; COMP_POINT=${{#COMP_LINE}}; \
             f=$(complete -p {name} | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); $f {name} {} {}; echo ${{COMPREPLY[*]}}",
            path.display(),
            words.len(),
            words.last().unwrap(),
            if words.len() > 1 { words[words.len() - 2] } else { name },
        );
        stdout(&Command::new("bash").args(["--norc", "-c", &script]).output().unwrap())
    };
    assert_eq!(complete("skydive", &["client", "top"]), "topology\n");
    assert_eq!(complete("skydive", &["client", "node-rule", "cre"]), "create\n");
    assert_eq!(complete("skydive", &["client", "edge", "create", "--pa"]), "--parent --password\n");
    assert_eq!(complete("skydive-cli", &["edg"]), "edge edge-rule edgerule\n");
    assert_eq!(complete("skydive-cli", &["agen"]), "\n");
}

#[test]
fn config_check_names_file_line_and_key() {
    let folder = Folder::new("check");
    let good = folder.file("good.yml", "http:\n  ws:\n    queue_szie: 1\n");
    let bad = folder.file("bad.yml", "host_id: h\nhttp:\n  ws:\n    queue_size: lots\n");
    let output = run(&["config", "check", &good]);
    assert_eq!(output.status.code(), Some(0), "warnings are no failure");
    assert!(stdout(&output).contains(&format!("{good}:3: warning: http.ws.queue_szie: unknown key")));
    let output = run(&["config", "check", &good, &bad]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout(&output)
            .contains(&format!("{bad}:4: error: http.ws.queue_size: `lots` is not a whole number"))
    );
    assert!(stdout(&output).ends_with("2 files checked: 1 error, 1 warning\n"));
    let output =
        skydive().args(["config", "check", "-"]).env("SKYDIVE_AGENT_LISTEN", "x:y").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("$SKYDIVE_AGENT_LISTEN: error: agent.listen: "), "{}", stdout(&output));
}

#[test]
fn a_named_file_that_is_missing_is_an_error() {
    for arguments in [
        &["agent", "-c", "/nonexistent/skydive.yml"][..],
        &["analyzer", "-c", "/nonexistent/skydive.yml"],
        &["allinone", "--conf", "/nonexistent/skydive.yml"],
        &["config", "check", "/nonexistent/skydive.yml"],
        &["client", "status", "-c", "/nonexistent/skydive.yml"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = stdout(&output) + &stderr(&output);
        assert!(said.contains("/nonexistent/skydive.yml: error: cannot be read"), "{arguments:?}: {said}");
    }
}

#[test]
fn config_show_masks_secrets_and_names_origins() {
    let folder = Folder::new("show");
    let path = folder.file("s.yml", "agent.auth.cluster: {username: u, password: geheim}\n");
    let output =
        skydive().args(["config", "show", "-c", &path]).env("SKYDIVE_HOST_ID", "h7").output().unwrap();
    let shown = stdout(&output);
    assert!(output.status.success() && !shown.contains("geheim"), "{shown}");
    assert!(
        shown.lines().any(|line| line.starts_with("host_id: h7 ") && line.ends_with("# $SKYDIVE_HOST_ID"))
    );
    assert!(shown.lines().any(|line| line.starts_with("analyzer.listen: ") && line.ends_with("# default")));
}

#[test]
fn wrong_usage_exits_with_1() {
    assert_eq!(run(&["client", "query"]).status.code(), Some(1));
    assert_eq!(run(&["nonsense"]).status.code(), Some(1));
    assert_eq!(run(&["--help"]).status.code(), Some(0));
    let output = run(&["agent", "-b", "etcd", "-c", "http://127.0.0.1:2379/k"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("etcd"));
}

#[test]
fn a_taken_address_is_told_once() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (role, key) in [("agent", "agent.listen"), ("analyzer", "analyzer.listen")] {
        let output = run(&[role, "--listen", &address]);
        assert_eq!(output.status.code(), Some(1), "{role}");
        let said = stderr(&output);
        let last = said.lines().last().unwrap();
        let expected = format!("error: `{key}` (--listen): cannot listen on {address}: ");
        assert!(last.starts_with(&expected), "{last}");
        assert_eq!((last.matches(&address).count(), last.matches("os error").count()), (1, 1), "{last}");
    }
}

#[test]
fn a_value_that_cannot_be_used_is_named_with_its_place() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::new("place");
    let last = |command: &mut Command| {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        stderr(&output).lines().last().unwrap().to_owned()
    };
    let file = folder.file("a.yml", &format!("host_id: h\nanalyzer.listen: {address}\n"));
    let said = last(skydive().args(["analyzer", "-c", &file]));
    assert!(said.starts_with(&format!("error: `analyzer.listen` ({file}:2): cannot listen on ")), "{said}");
    let said = last(skydive().arg("agent").env("SKYDIVE_AGENT_LISTEN", &address));
    assert!(said.starts_with("error: `agent.listen` ($SKYDIVE_AGENT_LISTEN): cannot listen on "), "{said}");
    let file = folder.file("b.yml", "logging: {backends: [file], file: {path: /proc/none/log}}\n");
    let said = last(skydive().args(["analyzer", "-c", &file]));
    assert!(said.starts_with(&format!("error: `logging.file.path` ({file}:1): /proc/none/log: ")), "{said}");
}

#[test]
fn the_client_says_error_once_about_its_configuration() {
    let output = run(&["client", "--conf", "/nope", "query", "G"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "/nope: error: cannot be read: No such file or directory (os error 2)\nerror: the configuration is not usable\n"
    );
}

#[test]
fn query_prints_the_answer_with_tabs() {
    let (address, request) =
        answer_once("200 OK\r\nX-Skydive-Explain: nodes=1;edges=0;index=1", "[{\"ID\":\"a\",\"N\":[]}]\n");
    let output = skydive()
        .args(["client", "query", "G.V()", "--explain", "--username", "u", "--password", "p"])
        .env("SKYDIVE_ANALYZER", &address)
        .output()
        .unwrap();
    assert_eq!(stdout(&output), "[\n\t{\n\t\t\"ID\": \"a\",\n\t\t\"N\": []\n\t}\n]\n");
    assert!(stderr(&output).contains("nodes=1;edges=0;index=1"), "{}", stderr(&output));
    let request = request.join().unwrap();
    assert!(request.starts_with("POST /api/topology "), "{request}");
    assert!(request.to_lowercase().contains("x-skydive-explain: 1"), "{request}");
    assert!(request.to_lowercase().contains("authorization: basic dtpw"), "{request}");
    assert!(request.ends_with("{\"GremlinQuery\":\"G.V()\"}"), "{request}");
}

#[test]
fn an_answer_that_lacks_something_says_so_beside_it() {
    for (coverage, told) in [
        ("asked=1;answered=1", ""),
        (
            "asked=2;answered=1;silent=h1;truncated=1",
            "incomplete: 1 of 2 sources answered (silent: h1); there is more than is shown\n",
        ),
    ] {
        let (address, request) = answer_once(&format!("200 OK\r\nX-Skydive-Coverage: {coverage}"), "3");
        let output =
            skydive().args(["client", "--analyzer", &address, "query", "G.V().Count()"]).output().unwrap();
        assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("3\n", told));
        assert!(output.status.success());
        request.join().unwrap();
    }
}

#[test]
fn a_refusal_of_several_lines_keeps_them() {
    let (address, request) = answer_once("400 Bad Request", "invalid schema:\nName is \u{1b}[31m required\n");
    let output = skydive()
        .args(["client", "--analyzer", &address, "node", "create", "--node-name", "a", "--node-type", "t"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "error: invalid schema:\nName is \u{fffd}[31m required\n");
    request.join().unwrap();
}

#[test]
fn a_refused_query_is_drawn_with_a_caret() {
    let (address, request) = answer_once("400 Bad Request\r\nX-Skydive-Error-Position: 6", "Expected step\n");
    let output = skydive().args(["client", "--analyzer", &address, "query", "G.V().Foo()"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "error: Expected step\n  G.V().Foo()\n        ^\n");
    assert_eq!(stdout(&output), "");
    request.join().unwrap();
}

#[test]
fn formats_ask_for_their_media_type() {
    for (format, accept, body) in [
        ("dot", "text/vnd.graphviz", "digraph g {\n}\n"),
        ("pcap", "application/vnd.tcpdump.pcap", "\u{1}\u{2}"),
    ] {
        let (address, request) = answer_once("200 OK", body);
        let output = skydive()
            .args(["client", "query", "G", "--format", format, "--analyzer", &address])
            .output()
            .unwrap();
        assert_eq!(stdout(&output), body);
        assert!(request.join().unwrap().contains(&format!("ccept: {accept}")));
    }
    let (address, request) = answer_once("200 OK", "[{\"ID\":\"a\",\"Metadata\":{\"Name\":\"eth0\"}}]");
    let output = skydive()
        .args(["client", "query", "G", "--format", "table", "--delete", "--analyzer", &address])
        .output()
        .unwrap();
    assert!(stdout(&output).contains("eth0"));
    request.join().unwrap();
}

#[test]
fn status_is_indented_by_two_spaces() {
    let (address, request) = answer_once("200 OK", "{\"Agents\":{}}");
    let link = Folder::new("cli");
    let path = link.0.join("skydive-cli");
    std::os::unix::fs::symlink(Path::new(env!("CARGO_BIN_EXE_skydive")), &path).unwrap();
    let output = Command::new(&path).env_clear().args(["status", "--analyzer", &address]).output().unwrap();
    assert_eq!(stdout(&output), "{\n  \"Agents\": {}\n}\n");
    assert!(request.join().unwrap().starts_with("GET /api/status "));
}

#[test]
fn an_analyzer_that_is_not_there_is_named_with_what_to_do() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = run(&["client", "status", "--analyzer", &free.to_string()]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains(&format!("cannot reach http://{free}")), "{said}");
    assert!(said.contains("--analyzer"), "{said}");
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for arguments in [&["status", "--timeout", "1"][..], &["query", "G", "--timeout=1"]] {
        let output = run(&[&["client", "--analyzer", &address], arguments].concat());
        assert_eq!(output.status.code(), Some(1));
        let said = stderr(&output);
        assert!(said.contains("nothing heard for 1s") && said.contains("$SKYDIVE_TIMEOUT"), "{said}");
        assert!(!said.contains("waiting"), "who is no terminal is not told: {said}");
    }
}
