//! Which path of the Iceberg REST catalog means what.

use lakehouse_sdk::catalog_export::TableName;
use percent_encoding::percent_decode_str;

/// What a path names.
#[derive(Clone, Debug, PartialEq)]
pub enum IcebergRoute {
    /// `v1/config`
    Config,
    /// `v1/namespaces`
    Namespaces,
    /// `v1/namespaces/{ns}`
    Namespace(String),
    /// `v1/namespaces/{ns}/tables`
    Tables(String),
    /// `v1/namespaces/{ns}/tables/{table}`
    Table(TableName),
}

/// What is served, as the configuration tells clients.
pub const ENDPOINTS: [&str; 12] = [
    "GET /v1/config",
    "GET /v1/{prefix}/namespaces",
    "POST /v1/{prefix}/namespaces",
    "GET /v1/{prefix}/namespaces/{namespace}",
    "HEAD /v1/{prefix}/namespaces/{namespace}",
    "DELETE /v1/{prefix}/namespaces/{namespace}",
    "GET /v1/{prefix}/namespaces/{namespace}/tables",
    "POST /v1/{prefix}/namespaces/{namespace}/tables",
    "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "DELETE /v1/{prefix}/namespaces/{namespace}/tables/{table}",
];

impl IcebergRoute {
    /// The route of a path below the catalog's `uri`, percent-encoded.
    pub fn parse(path: &str) -> Option<Self> {
        let segments = path
            .split('/')
            .map(|segment| percent_decode_str(segment).decode_utf8())
            .collect::<Result<Vec<_>, _>>()
            .ok()?;
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        Some(match segments[..] {
            ["v1", "config"] => Self::Config,
            ["v1", "namespaces"] => Self::Namespaces,
            ["v1", "namespaces", namespace] => Self::Namespace(namespace.to_owned()),
            ["v1", "namespaces", namespace, "tables"] => Self::Tables(namespace.to_owned()),
            ["v1", "namespaces", namespace, "tables", name] => Self::Table(TableName {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            }),
            _ => return None,
        })
    }

    /// The methods that it knows, as in `Allow`.
    pub fn allow(&self) -> &'static str {
        match self {
            Self::Config => "GET",
            Self::Namespaces | Self::Tables(_) => "GET, POST",
            Self::Namespace(_) => "GET, HEAD, DELETE",
            Self::Table(_) => "GET, HEAD, POST, DELETE",
        }
    }

    /// Iceberg's name for the absence of what it names.
    pub fn missing(&self) -> &'static str {
        match self {
            Self::Table(_) => "NoSuchTableException",
            _ => "NoSuchNamespaceException",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_apart() {
        let table = IcebergRoute::Table(TableName {
            namespace: "ns".to_owned(),
            name: "t".to_owned(),
        });
        for (path, route) in [
            ("v1/config", IcebergRoute::Config),
            ("v1/namespaces", IcebergRoute::Namespaces),
            (
                "v1/namespaces/a%1Fb",
                IcebergRoute::Namespace("a\u{1f}b".to_owned()),
            ),
            (
                "v1/namespaces/ns/tables",
                IcebergRoute::Tables("ns".to_owned()),
            ),
            ("v1/namespaces/ns/tables/t", table),
        ] {
            assert_eq!(IcebergRoute::parse(path), Some(route), "{path}");
        }
        for path in [
            "",
            "v1",
            "v2/config",
            "v1/namespaces/ns/views",
            "v1/config/x",
        ] {
            assert_eq!(IcebergRoute::parse(path), None, "{path}");
        }
    }
}
