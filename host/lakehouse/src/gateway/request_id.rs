//! Request ids: taken over from the client if they are sane, made otherwise.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// The header.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const MAX_LENGTH: usize = 128;

/// Makes ids: a prefix of this process, the number of a connection, and that of a request
/// on it. Connections so have no counter in common, which their threads would wait for.
pub struct RequestIds {
    prefix: String,
    connections: AtomicU64,
}

/// Those of one connection.
pub struct ConnectionIds {
    prefix: String,
    requests: AtomicU64,
}

impl RequestIds {
    /// With a random prefix.
    pub fn new() -> Self {
        let mut prefix = Uuid::new_v4().simple().to_string();
        prefix.truncate(16);
        Self {
            prefix,
            connections: AtomicU64::new(1),
        }
    }

    /// Those of the next connection.
    pub fn connection(&self) -> ConnectionIds {
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        ConnectionIds {
            prefix: format!("{}-{number:x}", self.prefix),
            requests: AtomicU64::new(1),
        }
    }
}

impl ConnectionIds {
    /// The id of a request. It is in the headers afterwards.
    pub fn assign(&self, headers: &mut HeaderMap) -> HeaderValue {
        if let Some(id) = headers.get(&REQUEST_ID)
            && is_sane(id.as_bytes())
        {
            return id.clone();
        }
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number:x}", self.prefix);
        let id = HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("unknown"));
        headers.insert(REQUEST_ID, id.clone());
        id
    }
}

/// Whether an id may go into logs and headers as it is.
fn is_sane(id: &[u8]) -> bool {
    (1..=MAX_LENGTH).contains(&id.len())
        && id
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(b))
}
