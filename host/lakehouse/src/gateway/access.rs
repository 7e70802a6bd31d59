//! Who may change plugins.
//!
//! With a token, whoever holds it. Without one, whoever can reach a host that listens
//! on loopback alone, but no web page: a browser would send a request to it for any
//! site, so one that names another host or comes from another origin is refused.

use std::fs;
use std::net::IpAddr;

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderName, StatusCode};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::problem::Problem;
use crate::config::{Admin, ConfigError};

/// What a browser says of where a request comes from.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Decides about calls that change plugins.
pub enum Access {
    /// Whoever presents a token of this SHA-256.
    Token([u8; 32]),
    /// Whoever is on this machine and no browser on behalf of another site.
    Local,
    /// Nobody.
    Closed,
}

impl Access {
    /// As configured, for a server that listens on this address.
    ///
    /// # Errors
    /// If the token cannot be used.
    pub fn new(admin: &Admin, bound: IpAddr) -> Result<Self, ConfigError> {
        let named = !admin.token_file.as_os_str().is_empty();
        if named && !admin.token.is_empty() {
            let what = "set either this or admin.token_file";
            return Err(ConfigError::key("admin.token", what));
        }
        let token = if named {
            let path = admin.token_file.display();
            let failed = |what: &dyn std::fmt::Display| {
                ConfigError::key("admin.token_file", format!("{path}: {what}"))
            };
            let text = fs::read_to_string(&admin.token_file).map_err(|error| failed(&error))?;
            if text.trim().is_empty() {
                return Err(failed(&"it holds no token"));
            }
            text.trim().to_owned()
        } else {
            admin.token.clone()
        };
        Ok(if !token.is_empty() {
            Self::Token(Sha256::digest(token).into())
        } else if bound.to_canonical().is_loopback() {
            Self::Local
        } else {
            Self::Closed
        })
    }

    /// Lets a request through, or says what it lacks.
    ///
    /// # Errors
    /// 401 or 403.
    pub fn check(&self, head: &Parts) -> Result<(), Problem> {
        match self {
            Self::Token(expected) => bearer(head, expected),
            Self::Local => local(head),
            Self::Closed => Err(forbidden(
                "this host listens beyond loopback and has no admin token: set admin.token, \
                 admin.token_file or LAKEHOUSE_ADMIN_TOKEN to change plugins over HTTP",
            )),
        }
    }
}

fn bearer(head: &Parts, expected: &[u8; 32]) -> Result<(), Problem> {
    let value = head.headers.get(AUTHORIZATION);
    let value = value.and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let Some(token) = token else {
        return Err(Problem::unauthorized(
            "plugins are changed with a token: send `Authorization: Bearer <token>`",
        ));
    };
    // Digests of one length: how long it takes tells nothing of either.
    let presented = Sha256::digest(token);
    if bool::from(presented.as_slice().ct_eq(expected)) {
        Ok(())
    } else {
        Err(Problem::unauthorized("the token is not the admin token"))
    }
}

fn local(head: &Parts) -> Result<(), Problem> {
    let text = |name: &HeaderName| {
        let value = head.headers.get(name);
        value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let authority = head.uri.authority().map(ToString::to_string);
    let authority = authority.or_else(|| text(&HOST)).unwrap_or_default();
    if !authority.is_empty() && !is_loopback(&authority) {
        return Err(forbidden(&format!(
            "without an admin token plugins are changed under the name of loopback alone, \
             and the request is for `{authority}`: use 127.0.0.1 or localhost, or set admin.token"
        )));
    }
    if let Some(origin) = text(&ORIGIN)
        && origin != format!("http://{authority}")
    {
        return Err(forbidden(&format!(
            "without an admin token no web page may change plugins, and this request comes \
             from `{origin}`: set admin.token"
        )));
    }
    match text(&FETCH_SITE).as_deref() {
        None | Some("same-origin" | "none") => Ok(()),
        Some(site) => Err(forbidden(&format!(
            "without an admin token no web page may change plugins, and this request is \
             {site}: set admin.token"
        ))),
    }
}

/// Whether an authority names this machine itself.
fn is_loopback(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else {
        return false;
    };
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

fn forbidden(detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(access: &Access, headers: &[(&str, &str)]) -> Option<StatusCode> {
        let mut request = http::Request::put("/v1/plugins/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        access.check(&head).err().map(|problem| problem.status())
    }

    #[test]
    fn a_page_elsewhere_is_kept_out() {
        let local = Access::new(&Admin::default(), [127, 0, 0, 1].into()).unwrap();
        let host = ("host", "127.0.0.1:3210");
        for headers in [
            vec![host],
            vec![("host", "localhost:3210")],
            vec![("host", "[::1]:3210")],
            vec![host, ("origin", "http://127.0.0.1:3210")],
            vec![host, ("sec-fetch-site", "none")],
        ] {
            assert_eq!(status(&local, &headers), None, "{headers:?}");
        }
        for headers in [
            vec![("host", "rebound.example:3210")],
            vec![("host", "127.0.0.1.example")],
            vec![("host", "192.168.0.7:3210")],
            vec![host, ("origin", "http://localhost:8080")],
            vec![host, ("origin", "https://evil.example")],
            vec![host, ("origin", "null")],
            vec![host, ("sec-fetch-site", "cross-site")],
        ] {
            let refused = status(&local, &headers);
            assert_eq!(refused, Some(StatusCode::FORBIDDEN), "{headers:?}");
        }
    }

    #[test]
    fn beyond_loopback_it_takes_a_token() {
        let everywhere = IpAddr::from([0, 0, 0, 0]);
        let closed = Access::new(&Admin::default(), everywhere).unwrap();
        assert_eq!(status(&closed, &[]), Some(StatusCode::FORBIDDEN));

        let admin = Admin {
            token: "secret".into(),
            ..Admin::default()
        };
        let token = Access::new(&admin, everywhere).unwrap();
        let refused = Some(StatusCode::UNAUTHORIZED);
        assert_eq!(status(&token, &[("authorization", "Bearer secret")]), None);
        assert_eq!(status(&token, &[("authorization", "bearer secret")]), None);
        assert_eq!(
            status(&token, &[("authorization", "Bearer secre")]),
            refused
        );
        assert_eq!(
            status(&token, &[("authorization", "Basic secret")]),
            refused
        );
        assert_eq!(status(&token, &[("host", "localhost")]), refused);
    }
}
