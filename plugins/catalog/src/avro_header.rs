//! A look at an Avro file's header before the Avro library sees it.
//!
//! The library panics on a schema with a name that is not valid, which would
//! cost the instance; a damaged byte can make such a name. Everything else that
//! is wrong the library tells.

use serde_json::Value;

/// What every Avro file begins with.
const MAGIC: &[u8] = b"Obj\x01";

/// Checks the names in the schema of an Avro file.
///
/// # Errors
/// What is wrong, for people.
pub fn check(file: &[u8]) -> Result<(), String> {
    let schema = schema(file).ok_or("its header is not that of an Avro file")?;
    let schema: Value =
        serde_json::from_slice(schema).map_err(|e| format!("its schema is not JSON: {e}"))?;
    check_names(&schema)
}

/// The bytes of the header's entry `avro.schema`.
fn schema(file: &[u8]) -> Option<&[u8]> {
    let mut rest = file.strip_prefix(MAGIC)?;
    loop {
        let mut entries = long(&mut rest)?;
        if entries == 0 {
            return None;
        }
        if entries < 0 {
            // The count of a block whose size follows is negated.
            entries = entries.checked_neg()?;
            long(&mut rest)?;
        }
        for _ in 0..entries {
            let name = bytes(&mut rest)?;
            let value = bytes(&mut rest)?;
            if name == b"avro.schema" {
                return Some(value);
            }
        }
    }
}

/// A variable-length zig-zag number.
fn long(rest: &mut &[u8]) -> Option<i64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, tail) = rest.split_first()?;
        *rest = tail;
        number |= u64::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some((number >> 1) as i64 ^ -((number & 1) as i64));
        }
    }
    None
}

fn bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(long(rest)?).ok()?;
    let (value, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(value)
}

fn check_names(schema: &Value) -> Result<(), String> {
    match schema {
        Value::Array(entries) => entries.iter().try_for_each(check_names),
        Value::Object(object) => {
            let kind = object.get("type").and_then(Value::as_str);
            let named = matches!(kind, Some("record" | "enum" | "fixed"));
            let own = object.get("name").filter(|_| named).into_iter();
            let aliases = object.get("aliases").and_then(Value::as_array);
            for name in own.chain(aliases.into_iter().flatten()) {
                if !name.as_str().is_some_and(is_name) {
                    return Err(format!("its schema has the name {name}"));
                }
            }
            object.values().try_for_each(check_names)
        }
        _ => Ok(()),
    }
}

/// A name, maybe with the namespace before it.
fn is_name(name: &str) -> bool {
    name.split('.').all(|part| {
        let mut letters = part.bytes();
        letters
            .next()
            .is_some_and(|c| c.is_ascii_alphabetic() || c == b'_')
            && letters.all(|c| c.is_ascii_alphanumeric() || c == b'_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(schema: &str) -> Vec<u8> {
        let zigzag = |mut number: u64| {
            number <<= 1;
            let mut bytes = Vec::new();
            while number > 0x7f {
                bytes.push((number & 0x7f) as u8 | 0x80);
                number >>= 7;
            }
            bytes.push(number as u8);
            bytes
        };
        let mut file = MAGIC.to_vec();
        file.extend(zigzag(2));
        for part in ["other", "x", "avro.schema", schema] {
            file.extend(zigzag(part.len() as u64));
            file.extend(part.as_bytes());
        }
        file.push(0);
        file
    }

    #[test]
    fn a_schema_is_found_and_its_names_are_checked() {
        let nested = |name: &str| {
            let inner = format!(r#"{{"type":"fixed","name":"{name}","size":4}}"#);
            format!(r#"{{"type":"record","name":"a.b","fields":[{{"name":"-","type":{inner}}}]}}"#)
        };
        for name in ["r102", "_x", "a.b.c"] {
            assert_eq!(check(&file(&nested(name))), Ok(()), "{name}");
        }
        for name in ["", "1a", "a-b", "a..b", "a.", "é"] {
            assert!(check(&file(&nested(name))).is_err(), "{name}");
        }
        assert!(check(&file(r#"{"type":"record","name":"a","aliases":["-"]}"#)).is_err());
    }

    #[test]
    fn what_is_no_avro_file_is_told() {
        let whole = file(r#""int""#);
        assert_eq!(check(&whole), Ok(()));
        for length in 0..whole.len() - 1 {
            assert!(check(&whole[..length]).is_err(), "{length}");
        }
        for bytes in [
            &b"Obj\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"[..],
            b"Obj\x01\x02\xff",
        ] {
            assert!(check(bytes).is_err());
        }
    }
}
