//! Requests byte by byte, as no client library would send them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use lakehouse_tests::Server;
use serde_json::Value;

/// A connection to the server.
pub fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).expect("the server listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a time-out");
    stream
}

/// What the server answered.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The problem that it tells.
    #[track_caller]
    pub fn problem(&self, status: u16) -> Value {
        let shown = format!("{}\n{}", self.head, self.body);
        assert_eq!(self.status, status, "{shown}");
        assert!(
            self.head
                .to_ascii_lowercase()
                .contains("content-type: application/problem+json"),
            "{shown}"
        );
        let problem: Value = serde_json::from_str(&self.body).expect(&shown);
        assert_eq!(problem["status"], status, "{shown}");
        assert!(
            !problem["detail"].as_str().unwrap_or_default().is_empty(),
            "{shown}"
        );
        problem
    }
}

/// Sends a request without a body, its path exactly as given.
pub fn request(server: &Server, method: &str, path: &str) -> Answer {
    let mut stream = connect(server);
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(text.as_bytes()).expect("sent");
    read(stream)
}

/// Reads an answer to the end of the connection.
pub fn read(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer");
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Answer {
        status: status.unwrap_or_else(|| panic!("no status in {head:?}")),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// Begins a put with this framing header and this beginning of a body.
pub fn begin_put(server: &Server, path: &str, framing: &str, beginning: &[u8]) -> TcpStream {
    let mut stream = connect(server);
    let head = format!("PUT {path} HTTP/1.1\r\nHost: test\r\n{framing}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("sent");
    stream.write_all(beginning).expect("sent");
    stream.flush().expect("sent");
    stream
}

/// Cuts a connection off.
pub fn cut(stream: TcpStream) {
    stream.shutdown(Shutdown::Both).expect("an open connection");
}
