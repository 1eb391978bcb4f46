//! The same packets as Wireshark reads them.

use std::process::Command;

use crate::payloads::capture;

/// What Wireshark says of each packet of a capture: for each of the `fields` all its values, separated by `|`.
pub(crate) fn fields(name: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-T", "fields", "-E", "aggregator=|", "-r"]).arg(capture(name));
    // One packet at a time, as we read them.
    command.args(["-o", "tcp.desegment_tcp_streams:FALSE", "-o", "http.desegment_headers:FALSE"]);
    command.args(["-d", "tcp.port==4433,tls", "-d", "tcp.port==8080-8081,http"]);
    command.args(fields.iter().flat_map(|field| ["-e", field]));
    let output = command.output().expect("tshark is installed by scripts/setup-tests.sh");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = |value: &str| match value {
        // How versions of Wireshark write flags.
        "True" => "1".to_owned(),
        "False" => "0".to_owned(),
        other => other.to_owned(),
    };
    text.lines().map(|line| line.split('\t').map(value).collect()).collect()
}

/// Values as Wireshark's fields are asked for.
pub(crate) fn list<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>().join("|")
}

/// How Wireshark writes a flag.
pub(crate) fn flag(set: bool) -> String {
    u8::from(set).to_string()
}
