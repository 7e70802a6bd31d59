//! Requests byte by byte, for what a client library would not send.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use lakehouse_tests::Server;

/// A connection that gives up after a while.
pub fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream
}

/// Sends bytes and reads until the server closes.
pub fn exchange(server: &Server, bytes: &[u8]) -> String {
    let mut stream = connect(server);
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
