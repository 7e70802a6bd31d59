//! The manifest of a workspace's member, for a life outside of the workspace.

use anyhow::{Context, bail};
use toml::{Table, Value};

/// What a member may have from its workspace, with what the workspace says put in.
///
/// # Errors
/// If one of the two is no manifest, or the workspace lacks what the member refers to.
pub fn standalone(member: &str, workspace: &str) -> anyhow::Result<String> {
    let mut member: Table = member.parse().context("the member's manifest")?;
    let workspace: Table = workspace.parse().context("the workspace's manifest")?;
    let shared = workspace.get("workspace").and_then(Value::as_table);
    let shared = shared.context("no [workspace]")?;
    for (section, value) in &mut member {
        let known = shared.get(section).and_then(Value::as_table);
        let known = known.cloned().unwrap_or_default();
        let Some(table) = value.as_table_mut() else {
            continue;
        };
        match section.as_str() {
            "lints" if table.contains_key("workspace") => *table = known,
            "package" | "dependencies" => {
                for (key, value) in table {
                    *value = resolved(key, value, known.get(key))?;
                }
            }
            _ => {}
        }
    }
    Ok(toml::to_string(&member)?)
}

/// One value: itself, or what the workspace has under its key, with what the member adds.
fn resolved(key: &str, value: &Value, shared: Option<&Value>) -> anyhow::Result<Value> {
    let Some(own) = value.as_table().filter(|own| own.contains_key("workspace")) else {
        return Ok(value.clone());
    };
    let shared = shared.with_context(|| format!("the workspace has no `{key}`"))?;
    let mut own = own.clone();
    own.remove("workspace");
    if own.is_empty() {
        return Ok(shared.clone());
    }
    let mut whole = match shared {
        Value::Table(table) => table.clone(),
        Value::String(version) => {
            Table::from_iter([("version".to_owned(), version.clone().into())])
        }
        _ => bail!("the workspace's `{key}` is no dependency"),
    };
    for (name, added) in own {
        match (whole.get_mut(&name), added) {
            (Some(Value::Array(there)), Value::Array(added)) => there.extend(added),
            (_, added) => {
                whole.insert(name, added);
            }
        }
    }
    Ok(Value::Table(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKSPACE: &str = r#"
        [workspace.package]
        edition = "2024"
        [workspace.dependencies]
        a = "1"
        b = { version = "2", features = ["x"] }
        c = "3"
        [workspace.lints.rust]
        missing_docs = "warn"
    "#;

    #[test]
    fn what_the_workspace_says_is_put_in() {
        let member = r#"
            [package]
            name = "m"
            edition.workspace = true
            [features]
            a = ["dep:a"]
            [dependencies]
            a = { workspace = true, optional = true }
            b = { workspace = true, features = ["y"] }
            c = { workspace = true }
            d = "4"
            [lints]
            workspace = true
        "#;
        let expected = r#"
            [package]
            name = "m"
            edition = "2024"
            [features]
            a = ["dep:a"]
            [dependencies]
            a = { version = "1", optional = true }
            b = { version = "2", features = ["x", "y"] }
            c = "3"
            d = "4"
            [lints.rust]
            missing_docs = "warn"
        "#;
        let resolved: Table = standalone(member, WORKSPACE).unwrap().parse().unwrap();
        assert_eq!(resolved, expected.parse::<Table>().unwrap());
    }

    #[test]
    fn what_the_workspace_lacks_is_named() {
        let member = "[dependencies]\ne = { workspace = true }\n";
        let error = standalone(member, WORKSPACE).unwrap_err().to_string();
        assert_eq!(error, "the workspace has no `e`");
    }
}
