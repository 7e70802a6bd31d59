//! Items from the rows of a query, a JSON object each.

use std::fmt;

use lakehouse_vectord::Item;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Makes an item of a row: its columns `id`, which is text or an integer, and
/// `vector`, a list of numbers or the text of one; metadata of the others, if
/// there are any. The error has no subject yet.
pub fn item(line: &[u8]) -> Result<Item, String> {
    let Columns(columns) = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let (mut id, mut vector, mut metadata) = (None, None, String::new());
    for (name, value) in columns {
        let place = match name.as_str() {
            "id" => &mut id,
            "vector" => &mut vector,
            _ => {
                metadata.push(if metadata.is_empty() { '{' } else { ',' });
                metadata.push_str(&serde_json::Value::from(name).to_string());
                metadata.push(':');
                metadata.push_str(value.get());
                continue;
            }
        };
        if place.replace(value).is_some() {
            return Err(format!("two columns are named {name:?}"));
        }
    }
    if !metadata.is_empty() {
        metadata.push('}');
    }
    let missing = |name: &str| format!("the query gives no column {name:?}");
    Ok(Item {
        id: self::id(id.ok_or_else(|| missing("id"))?.get())?,
        vector: self::vector(vector.ok_or_else(|| missing("vector"))?.get())?,
        metadata: (!metadata.is_empty()).then_some(metadata),
    })
}

fn id(json: &str) -> Result<String, String> {
    let digits = json.strip_prefix('-').unwrap_or(json);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(json.to_owned());
    }
    serde_json::from_str(json)
        .map_err(|_| format!("its id is {}, neither text nor an integer", shown(json)))
}

fn vector(json: &str) -> Result<Vec<f32>, String> {
    let text = match json.starts_with('"') {
        true => serde_json::from_str::<String>(json).map_err(|error| error.to_string())?,
        false => json.to_owned(),
    };
    serde_json::from_str(&text)
        .map_err(|_| format!("its vector is {}, not a list of numbers", shown(&text)))
}

/// The beginning of a value.
fn shown(json: &str) -> String {
    const MOST: usize = 64;
    match json.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &json[..end]),
        None => json.to_owned(),
    }
}

/// The members of a JSON object in their order.
struct Columns<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Columns<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Columns<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row as a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut columns = Vec::new();
                while let Some(column) = map.next_entry()? {
                    columns.push(column);
                }
                Ok(Columns(columns))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_an_item() {
        let row = br#"{"id": 12345678901234567890, "a": 1.50, "vector": [1, 2.5], "b\"": null}"#;
        let wanted = Item {
            id: "12345678901234567890".into(),
            vector: vec![1.0, 2.5],
            metadata: Some(r#"{"a":1.50,"b\"":null}"#.into()),
        };
        assert_eq!(item(row), Ok(wanted));
        let row = br#"{"vector": "[0, -1e2]", "id": "x"}"#;
        let wanted = Item {
            id: "x".into(),
            vector: vec![0.0, -100.0],
            metadata: None,
        };
        assert_eq!(item(row), Ok(wanted));
    }

    #[test]
    fn what_is_wrong_with_a_row_is_said() {
        for (row, why) in [
            (r#"{"id": 1}"#, r#"no column "vector""#),
            (r#"{"vector": [1]}"#, r#"no column "id""#),
            (r#"{"id": 1.5, "vector": [1]}"#, "its id is 1.5"),
            (r#"{"id": null, "vector": [1]}"#, "its id is null"),
            (
                r#"{"id": "a", "vector": [1, null]}"#,
                "its vector is [1, null]",
            ),
            (r#"{"id": "a", "vector": null}"#, "its vector is null"),
            (r#"{"id": "a", "vector": "red"}"#, "its vector is red"),
            (r#"{"id": 1, "id": 2, "vector": [1]}"#, "two columns"),
        ] {
            let error = item(row.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
