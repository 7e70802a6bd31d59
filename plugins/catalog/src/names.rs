//! Names of namespaces and tables, and the keys that follow from them.

use lakehouse_sdk::catalog_export::TableName;
use lakehouse_sdk::types::Error;

/// The namespace that is always there.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Longest name in characters.
const MAX_NAME: usize = 128;

/// Prefix of all namespace records.
pub const NAMESPACES: &str = "catalog/namespaces/";

/// Prefix of all table pointers.
pub const TABLES: &str = "catalog/tables/";

/// Checks a name of the given kind ("namespace", "table").
///
/// # Errors
/// [`Error::Invalid`] that says which rule is broken.
pub fn check(kind: &str, name: &str) -> Result<(), Error> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let problem = if name.is_empty() {
        "is empty".to_owned()
    } else if name.len() > MAX_NAME {
        format!("has more than {MAX_NAME} characters")
    } else if let Some(bad) = name.chars().find(|c| !allowed(*c)) {
        format!("holds {bad:?}; allowed are A-Z a-z 0-9 _ -")
    } else if name.starts_with('-') {
        "begins with '-'".to_owned()
    } else {
        return Ok(());
    };
    let shown: String = name.chars().take(MAX_NAME + 1).collect();
    Err(Error::Invalid(format!("{kind} name {shown:?} {problem}")))
}

/// Checks both parts of a table's name.
///
/// # Errors
/// As [`check`].
pub fn check_table(table: &TableName) -> Result<(), Error> {
    check("namespace", &table.namespace)?;
    check("table", &table.name)
}

/// `namespace.name`, as people write it.
pub fn display(table: &TableName) -> String {
    format!("{}.{}", table.namespace, table.name)
}

/// Key of a namespace's record.
pub fn namespace_key(namespace: &str) -> String {
    format!("{NAMESPACES}{namespace}.json")
}

/// Prefix of the pointers of a namespace's tables.
pub fn pointer_prefix(namespace: &str) -> String {
    format!("{TABLES}{namespace}/")
}

/// Key of a table's pointer.
pub fn pointer_key(table: &TableName) -> String {
    format!("{TABLES}{}/{}.json", table.namespace, table.name)
}

/// The table whose pointer is at `key`, if that is a pointer's key.
pub fn pointer_table(key: &str) -> Option<TableName> {
    let (namespace, file) = key.strip_prefix(TABLES)?.split_once('/')?;
    let name = file.strip_suffix(".json")?;
    let table = TableName {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    check_table(&table).is_ok().then_some(table)
}

/// Key of the folder of a table's files.
///
/// A name that was dropped and is used again gets a folder of its own, so that
/// what still goes on in the old folder cannot touch the new table. The dot
/// keeps it apart from every other table: names hold none.
pub fn folder_key(table: &TableName, generation: u32) -> String {
    let TableName { namespace, name } = table;
    match generation {
        0 => format!("warehouse/{namespace}/{name}"),
        n => format!("warehouse/{namespace}/{name}.{n}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(namespace: &str, name: &str) -> TableName {
        TableName {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn names_are_checked() {
        for good in ["a", "_x", "0", "A-b_9", &"n".repeat(128)] {
            assert!(check("table", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "a.b",
            "a/b",
            "..",
            "é",
            "a b",
            "a\0",
            &"n".repeat(129),
        ] {
            let error = check("table", bad).unwrap_err();
            assert!(matches!(error, Error::Invalid(_)), "{bad}");
        }
    }

    #[test]
    fn pointer_keys_go_both_ways() {
        let name = table("ns", "t");
        let key = pointer_key(&name);
        assert_eq!(key, "catalog/tables/ns/t.json");
        let back = pointer_table(&key).unwrap();
        assert_eq!((back.namespace, back.name), (name.namespace, name.name));
        for other in [
            "catalog/tables/ns/t.json.tmp",
            "catalog/tables/t.json",
            "x/ns/t.json",
        ] {
            assert!(pointer_table(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_name_used_again_has_another_folder() {
        let name = table("ns", "t");
        assert_eq!(folder_key(&name, 0), "warehouse/ns/t");
        assert_eq!(folder_key(&name, 2), "warehouse/ns/t.2");
    }
}
