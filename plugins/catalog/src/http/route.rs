//! Which path means what.

use lakehouse_sdk::catalog_export::TableName;
use percent_encoding::percent_decode_str;

/// What a path names.
#[derive(Clone, Debug, PartialEq)]
pub enum Route {
    /// `/catalog/namespaces`
    Namespaces,
    /// `/catalog/namespaces/{ns}`
    Namespace(String),
    /// `/catalog/tables`
    Tables,
    /// `/catalog/tables/{ns}/{table}`
    Table(TableName),
    /// `/catalog/tables/{ns}/{table}/snapshots`
    Snapshots(TableName),
    /// `/catalog/tables/{ns}/{table}/rollback`
    Rollback(TableName),
    /// `/catalog/tables/{ns}/{table}/remove-orphan-files`
    RemoveOrphans(TableName),
}

impl Route {
    /// The route of a path as it came, percent-encoded; none if there is none.
    /// Names are decoded and not checked.
    pub fn parse(path: &str) -> Option<Self> {
        let segments = path
            .strip_prefix("/catalog/")?
            .split('/')
            .map(|segment| percent_decode_str(segment).decode_utf8())
            .collect::<Result<Vec<_>, _>>()
            .ok()?;
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        let table = |namespace: &str, name: &str| TableName {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        Some(match segments[..] {
            ["namespaces"] => Self::Namespaces,
            ["namespaces", namespace] => Self::Namespace(namespace.to_owned()),
            ["tables"] => Self::Tables,
            ["tables", namespace, name] => Self::Table(table(namespace, name)),
            ["tables", namespace, name, "snapshots"] => Self::Snapshots(table(namespace, name)),
            ["tables", namespace, name, "rollback"] => Self::Rollback(table(namespace, name)),
            ["tables", namespace, name, "remove-orphan-files"] => {
                Self::RemoveOrphans(table(namespace, name))
            }
            _ => return None,
        })
    }

    /// The methods that it knows, as in `Allow`.
    pub fn allow(&self) -> &'static str {
        match self {
            Self::Namespaces => "GET, POST",
            Self::Namespace(_) => "DELETE",
            Self::Tables | Self::Snapshots(_) => "GET",
            Self::Table(_) => "GET, DELETE",
            Self::Rollback(_) | Self::RemoveOrphans(_) => "POST",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_apart() {
        let table = TableName {
            namespace: "ns".to_owned(),
            name: "t".to_owned(),
        };
        for (path, route) in [
            ("/catalog/namespaces", Route::Namespaces),
            (
                "/catalog/namespaces/a%2Fb",
                Route::Namespace("a/b".to_owned()),
            ),
            ("/catalog/tables", Route::Tables),
            ("/catalog/tables/ns/t", Route::Table(table.clone())),
            ("/catalog/tables/n%73/t", Route::Table(table.clone())),
            (
                "/catalog/tables/ns/t/snapshots",
                Route::Snapshots(table.clone()),
            ),
            (
                "/catalog/tables/ns/t/rollback",
                Route::Rollback(table.clone()),
            ),
            (
                "/catalog/tables/ns/t/remove-orphan-files",
                Route::RemoveOrphans(table.clone()),
            ),
        ] {
            assert_eq!(Route::parse(path), Some(route), "{path}");
        }
        for path in [
            "/",
            "/catalog",
            "/catalog/",
            "/catalog/other",
            "/catalog/tables/ns",
            "/catalog/tables/ns/t/other",
            "/catalog/tables/ns/t/snapshots/1",
            "/catalog/namespaces/%ff",
        ] {
            assert_eq!(Route::parse(path), None, "{path}");
        }
    }
}
