//! HTTP/1 of curl, wget, busybox and Python.

use skydive_packet::application::http1::{MAX_HEAD, MAX_LINE, Request, Response, is_request, is_response};

use crate::payloads;
use crate::tshark::{self, list};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn wireshark_reads_the_same_lines() {
    for (name, requests, responses) in [("http.pcap", 8, 8), ("eth-ip4-arp-dns-req-http-google.pcap", 2, 2)] {
        let theirs = tshark::fields(
            name,
            &[
                "http.request.method",
                "http.request.uri",
                "http.request.version",
                "http.host",
                "http.response.version",
                "http.response.code",
            ],
        );
        let payloads = payloads::of(name);
        assert_eq!(payloads.len(), theirs.len());
        let mut seen = (0, 0);
        for (payload, theirs) in payloads.iter().zip(theirs).filter(|(payload, _)| payload.over_tcp) {
            let version = |minor: u8| format!("HTTP/1.{minor}");
            let request = Request::parse(&payload.bytes);
            let response = Response::parse(&payload.bytes);
            assert_eq!(request.is_some(), is_request(&payload.bytes));
            assert_eq!(response.is_some(), is_response(&payload.bytes));
            seen.0 += usize::from(request.is_some());
            seen.1 += usize::from(response.is_some());
            let ours = [
                list(request.map(|request| request.method)),
                list(request.map(|request| text(request.target))),
                list(request.and_then(|request| request.minor).map(version)),
                list(request.and_then(|request| request.host).map(text)),
                list(response.map(|response| version(response.minor))),
                list(response.map(|response| response.status)),
            ];
            assert_eq!(ours[..], theirs, "{}", payload.from);
        }
        assert_eq!(seen, (requests, responses), "{name}");
    }
}

#[test]
fn a_request_and_its_host() {
    let bytes = b"GET /a?b=c HTTP/1.1\r\nAccept: */*\r\nhOsT: \tWWW.example:8080 \r\nHost: other\r\n\r\n";
    let expected = Request {
        method: "GET",
        target: b"/a?b=c",
        is_cut: false,
        minor: Some(1),
        host: Some(b"WWW.example:8080"),
    };
    assert_eq!(Request::parse(bytes), Some(expected));
    // Only line feeds, no host; what looks like one is in the body.
    let bytes = b"PURGE * HTTP/1.0\nA: b\n\nHost: c\n";
    let expected = Request { method: "PURGE", target: b"*", is_cut: false, minor: Some(0), host: None };
    assert_eq!(Request::parse(bytes), Some(expected));
}

#[test]
fn a_request_cut_at_each_byte() {
    let bytes = b"GET /path HTTP/1.1\r\nHost: www.example\r\n\r\n";
    for cut in 0..bytes.len() {
        let request = Request::parse(&bytes[..cut]);
        assert_eq!(request.is_some(), cut >= 4, "{cut}");
        let Some(request) = request else { continue };
        assert_eq!((request.method, request.is_cut), ("GET", cut < 10));
        assert_eq!(request.target, &b"/path"[..5.min(cut - 4)]);
        assert_eq!(request.host.is_some(), cut >= 39, "never a part of a name: {cut}");
        assert!(request.minor.is_none_or(|minor| minor == 1 && cut >= 18));
    }
}

#[test]
fn a_long_target_is_cut() {
    let bytes = [b"GET /", &[b'a'; 2 * MAX_LINE][..], b" HTTP/1.1\r\nHost: b\r\n\r\n"].concat();
    let request = Request::parse(&bytes).unwrap();
    assert_eq!((request.target.len(), request.is_cut, request.minor), (MAX_LINE - 4, true, None));
    // And a host far behind is not looked for.
    let bytes = [b"GET / HTTP/1.1\r\nA: ", &[b'a'; MAX_HEAD][..], b"\r\nHost: b\r\n\r\n"].concat();
    assert_eq!(Request::parse(&bytes).unwrap().host, None);
}

#[test]
fn bytes_that_are_no_text_are_kept() {
    let request = Request::parse(b"GET /\xff\x00\xc3 x HTTP/1.1\r\nHost: \xfe\r\n\r\n").unwrap();
    assert_eq!((request.target, request.host), (&b"/\xff\x00\xc3 x"[..], Some(&b"\xfe"[..])));
}

#[test]
fn other_lines_are_no_request() {
    for other in [
        &b""[..],
        b"GET",
        b"GET\r\n",
        b"GET / HTTP/2.0\r\n",
        b"GET / HTTP/1.10\r\n",
        b"GET  HTTP/1.1\r\n",
        b"GET /only\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"EHLO mail.example\r\n",
        b"HELLO / HT",
        b"G\xffT / HTTP/1.1\r\n",
        b" / HTTP/1.1\r\n",
        b"AMETHODLONGERTHANALLTHEOTHERS / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
    ] {
        assert_eq!(Request::parse(other), None, "{}", other.escape_ascii());
    }
}

#[test]
fn a_status_line() {
    for (line, minor, status) in [
        (&b"HTTP/1.1 200 OK\r\n"[..], 1, 200),
        (b"HTTP/1.0 404 File not found\r\n", 0, 404),
        (b"HTTP/1.1 204\r\n", 1, 204),
        (b"HTTP/1.1 100", 1, 100),
    ] {
        assert_eq!(Response::parse(line), Some(Response { minor, status }));
    }
    for other in [
        &b"HTTP/1.1 20"[..],
        b"HTTP/1.1 2000\r\n",
        b"HTTP/1.1 2x0 \r\n",
        b"HTTP/1.1  20 OK",
        b"HTTP/2.0 200 OK",
        b"HTTP/1.x 200 OK",
        b"ICY 200 OK\r\n\r\n",
    ] {
        assert_eq!(Response::parse(other), None, "{}", other.escape_ascii());
    }
}
