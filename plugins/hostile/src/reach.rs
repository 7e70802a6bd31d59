//! Reaching for what was not given. Each says what it got, and nothing if it got none.

use std::fmt::Write as _;

use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, OutgoingRequest, Scheme};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;
use wasip2::sockets::udp_create_socket::create_udp_socket;

/// The host's files.
pub fn files() -> String {
    let mut got = String::new();
    for path in [
        "/etc/passwd",
        "../../../../etc/passwd",
        "/proc/self/environ",
    ] {
        if std::fs::read(path).is_ok() {
            let _ = writeln!(got, "read {path}");
        }
    }
    for path in ["/hostile", "/tmp/hostile", "hostile"] {
        if std::fs::write(path, "here").is_ok() {
            let _ = writeln!(got, "wrote {path}");
        }
    }
    for folder in ["/", "."] {
        if std::fs::read_dir(folder).is_ok() {
            let _ = writeln!(got, "listed {folder}");
        }
    }
    got
}

/// The host's environment and arguments.
pub fn environment() -> String {
    let mut got = String::new();
    for (name, value) in std::env::vars_os() {
        let _ = writeln!(got, "variable {}={}", name.display(), value.display());
    }
    for argument in std::env::args_os().skip(1) {
        let _ = writeln!(got, "argument {}", argument.display());
    }
    got
}

/// A port of this machine, given as the query.
pub fn sockets(port: &str) -> String {
    let mut got = String::new();
    let network = instance_network();
    let address = IpSocketAddress::Ipv4(Ipv4SocketAddress {
        port: port.parse().unwrap_or(80),
        address: (127, 0, 0, 1),
    });
    if let Ok(socket) = create_tcp_socket(IpAddressFamily::Ipv4)
        && socket.start_connect(&network, address).is_ok()
    {
        socket.subscribe().block();
        if socket.finish_connect().is_ok() {
            got.push_str("connected\n");
        }
    }
    if let Ok(socket) = create_udp_socket(IpAddressFamily::Ipv4)
        && socket.start_bind(&network, address).is_ok()
        && socket.finish_bind().is_ok()
    {
        got.push_str("bound\n");
    }
    if let Ok(names) = resolve_addresses(&network, "localhost") {
        names.subscribe().block();
        if names.resolve_next_address().is_ok() {
            got.push_str("resolved\n");
        }
    }
    got
}

/// A page of another host, given as the query: `host:port/path`.
pub fn fetch(target: &str) -> String {
    let (authority, path) = target.split_once('/').unwrap_or((target, ""));
    let request = OutgoingRequest::new(Fields::new());
    let set = request.set_scheme(Some(&Scheme::Http)).is_ok()
        && request.set_authority(Some(authority)).is_ok()
        && request
            .set_path_with_query(Some(&format!("/{path}")))
            .is_ok();
    assert!(set, "`{target}` is not host:port/path");
    let answer = match outgoing_handler::handle(request, None) {
        Ok(answer) => answer,
        Err(error) => return format!("refused: {error:?}"),
    };
    answer.subscribe().block();
    match answer.get() {
        Some(Ok(Ok(answer))) => format!("fetched: {}", answer.status()),
        Some(Ok(Err(error))) => format!("refused: {error:?}"),
        _ => "nothing".to_owned(),
    }
}
