//! REST and WebSocket client, used by the command line, by agents and by tests.
//!
//! Every connection is made by an [`Endpoint`]: it knows the address, the credentials and, later, TLS. [`Rest`] asks
//! and answers, [`Connection`] is one WebSocket whose owner drives it by awaiting [`Connection::next`]; nothing here
//! spawns a task.

mod connection;
mod endpoint;
mod reconnect;
mod rest;
mod watched;

pub use connection::{ConnectError, Connection, ConnectionSettings, Ended, Gone, Outgoing, ServerIdentity};
pub use endpoint::{Credentials, Endpoint, EndpointError, Scheme};
pub use reconnect::{RECONNECT_DELAY, connect_until};
pub use rest::{Collection, Explained, PATIENCE, PatchOp, Response, Rest, RestError};
