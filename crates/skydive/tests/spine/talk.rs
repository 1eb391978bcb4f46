//! A WebSocket client that says what it likes, message by message.

use std::net::TcpStream;

use serde_json::{Value as Json, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client};

use crate::stage::SOON;

/// An open connection.
pub(crate) struct Talk {
    pub(crate) socket: WebSocket<TcpStream>,
}

impl Talk {
    /// Connects to a path of the server at `address`, with headers.
    pub(crate) fn open(address: &str, path: &str, headers: &[(&str, &str)]) -> Self {
        Self::try_open(address, path, headers).unwrap_or_else(|status| panic!("{path}: {status}"))
    }

    /// The same; the status of the refusal when there is one.
    pub(crate) fn try_open(address: &str, path: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
        }
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        match client(request, stream) {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(refused) => match refused {
                tokio_tungstenite::tungstenite::HandshakeError::Failure(Error::Http(answer)) => {
                    Err(answer.status().as_u16())
                }
                other => panic!("{other}"),
            },
        }
    }

    /// Says something about the graph.
    pub(crate) fn say(&mut self, kind: &str, obj: &Json) {
        self.socket.send(Message::text(message(kind, obj))).unwrap();
    }

    /// The next message of the server.
    pub(crate) fn hear(&mut self) -> Json {
        loop {
            match self.socket.read().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    /// Asks for the graph and takes the reply; what comes before it is passed over.
    pub(crate) fn sync(&mut self, obj: &Json) -> Json {
        self.say("SyncRequest", obj);
        loop {
            let message = self.hear();
            if message["Type"] == "SyncReply" {
                return message;
            }
        }
    }

    /// Code and reason of the server's goodbye.
    pub(crate) fn goodbye(mut self) -> (u16, String) {
        loop {
            match self.socket.read().unwrap() {
                Message::Close(Some(frame)) => return (frame.code.into(), frame.reason.to_string()),
                Message::Close(None) => return (1005, String::new()),
                _ => {}
            }
        }
    }

    /// Leaves properly.
    pub(crate) fn leave(mut self) {
        self.socket.close(None).unwrap();
        while self.socket.read().is_ok() {}
    }
}

/// A message about the graph as text.
pub(crate) fn message(kind: &str, obj: &Json) -> String {
    json!({"Namespace": "Graph", "Type": kind, "UUID": "u", "Status": 200, "Obj": obj}).to_string()
}

/// Type of a message and id of what it is about.
pub(crate) fn gist(message: &Json) -> (String, String) {
    let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
    (text(&message["Type"]), text(&message["Obj"]["ID"]))
}

/// A node as publishers write it.
pub(crate) fn node(id: &str, kind: &str) -> Json {
    json!({"ID": id, "Host": "h", "Metadata": {"Name": id, "Type": kind}})
}

/// An edge as publishers write it.
pub(crate) fn edge(parent: &str, child: &str, relation: &str) -> Json {
    json!({"ID": format!("{parent}-{child}"), "Host": "h", "Parent": parent, "Child": child,
        "Metadata": {"RelationType": relation}})
}
