//! Conditions on metadata.
//!
//! A filter is a JSON object; an item matches when all of its members hold:
//!
//! - `{"field": value}`: the field equals the value (numbers by value, so 1
//!   equals 1.0; a list or an object as a whole);
//! - `{"field": {"$gt": 3, "$lte": 7}}`: operators, all of which must hold:
//!   `$eq $ne $gt $gte $lt $lte $in $nin $prefix $exists`; ordering compares
//!   number with number and string with string, and nothing else;
//! - `{"$and": [..]}`, `{"$or": [..]}`, `{"$not": {..}}`.
//!
//! A field is a member's name, or a path of names joined by dots where no
//! member bears the whole name. A field that is absent equals nothing, so it
//! satisfies `$ne` and `$nin`.

use std::cmp::Ordering;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// A condition on an item's metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter(Node);

/// Conditions as they are joined.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    /// A test of the value at a path; what is absent passes none but
    /// [`Test::Exists`].
    Field(String, Test),
}

/// A condition on one value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    Equal(Value),
    In(Vec<Value>),
    /// How the value may stand to a number or a string.
    Order(&'static [Ordering], Value),
    Prefix(String),
    Exists(bool),
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid), naming the member that is not
    /// understood.
    pub fn parse(value: &Value) -> Result<Self> {
        object(value, "filter").map(Self)
    }

    pub(crate) fn root(&self) -> &Node {
        &self.0
    }

    /// Whether metadata match; none counts as an empty object.
    pub(crate) fn matches(&self, metadata: Option<&str>) -> bool {
        let parsed = metadata.and_then(|text| serde_json::from_str(text).ok());
        self.0.matches(&parsed.unwrap_or_default())
    }
}

impl FromStr for Filter {
    type Err = Error;

    /// Reads a filter from JSON.
    fn from_str(text: &str) -> Result<Self> {
        let value = serde_json::from_str(text)
            .map_err(|why| Error::invalid(format!("the filter is not JSON: {why}")))?;
        Self::parse(&value)
    }
}

fn object(value: &Value, at: &str) -> Result<Node> {
    let Value::Object(members) = value else {
        return Err(Error::invalid(format!("{at} must be a JSON object")));
    };
    let mut nodes = Vec::with_capacity(members.len());
    for (name, value) in members {
        let at = format!("{at}.{name}");
        match name.as_str() {
            "$and" => nodes.push(Node::All(list(value, &at)?)),
            "$or" => nodes.push(Node::Any(list(value, &at)?)),
            "$not" => nodes.push(Node::Not(Box::new(object(value, &at)?))),
            unknown if unknown.starts_with('$') => {
                return Err(Error::invalid(format!(
                    "{at}: {unknown} is not an operator; a filter joins fields with $and, $or and $not"
                )));
            }
            _ => field(name, value, &at, &mut nodes)?,
        }
    }
    Ok(Node::All(nodes))
}

fn list(value: &Value, at: &str) -> Result<Vec<Node>> {
    let Value::Array(values) = value else {
        return Err(Error::invalid(format!("{at} must be a list of filters")));
    };
    let numbered = values.iter().enumerate();
    numbered
        .map(|(i, value)| object(value, &format!("{at}[{i}]")))
        .collect()
}

fn field(name: &str, value: &Value, at: &str, nodes: &mut Vec<Node>) -> Result<()> {
    let operators = match value {
        Value::Object(members) if members.keys().any(|key| key.starts_with('$')) => members,
        _ => {
            nodes.push(Node::Field(name.to_owned(), Test::Equal(value.clone())));
            return Ok(());
        }
    };
    for (operator, value) in operators {
        let at = format!("{at}.{operator}");
        let (negated, test) = test(operator, value, &at)?;
        let node = Node::Field(name.to_owned(), test);
        nodes.push(if negated {
            Node::Not(Box::new(node))
        } else {
            node
        });
    }
    Ok(())
}

/// The test that an operator stands for, and whether it is to be negated.
fn test(operator: &str, value: &Value, at: &str) -> Result<(bool, Test)> {
    let order = |accepted: &'static [Ordering]| match value {
        Value::Number(_) | Value::String(_) => Ok((false, Test::Order(accepted, value.clone()))),
        _ => Err(Error::invalid(format!("{at} takes a number or a string"))),
    };
    match (operator, value) {
        ("$eq", _) => Ok((false, Test::Equal(value.clone()))),
        ("$ne", _) => Ok((true, Test::Equal(value.clone()))),
        ("$gt", _) => order(&[Ordering::Greater]),
        ("$gte", _) => order(&[Ordering::Greater, Ordering::Equal]),
        ("$lt", _) => order(&[Ordering::Less]),
        ("$lte", _) => order(&[Ordering::Less, Ordering::Equal]),
        ("$in", Value::Array(values)) => Ok((false, Test::In(values.clone()))),
        ("$nin", Value::Array(values)) => Ok((true, Test::In(values.clone()))),
        ("$prefix", Value::String(prefix)) => Ok((false, Test::Prefix(prefix.clone()))),
        ("$exists", Value::Bool(wanted)) => Ok((false, Test::Exists(*wanted))),
        ("$in" | "$nin", _) => Err(Error::invalid(format!("{at} takes a list of values"))),
        ("$prefix", _) => Err(Error::invalid(format!("{at} takes a string"))),
        ("$exists", _) => Err(Error::invalid(format!("{at} takes true or false"))),
        _ => Err(Error::invalid(format!(
            "{at}: not an operator; known are $eq $ne $gt $gte $lt $lte $in $nin $prefix $exists"
        ))),
    }
}

impl Node {
    fn matches(&self, metadata: &Map<String, Value>) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.matches(metadata)),
            Self::Any(nodes) => nodes.iter().any(|node| node.matches(metadata)),
            Self::Not(node) => !node.matches(metadata),
            Self::Field(name, test) => test.matches(lookup(metadata, name)),
        }
    }
}

impl Test {
    fn matches(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Exists(wanted), _) => value.is_some() == *wanted,
            (_, None) => false,
            (Self::Equal(wanted), Some(value)) => equal(wanted, value),
            (Self::In(wanted), Some(value)) => wanted.iter().any(|one| equal(one, value)),
            (Self::Order(accepted, bound), Some(value)) => {
                order(value, bound).is_some_and(|found| accepted.contains(&found))
            }
            (Self::Prefix(prefix), Some(value)) => {
                value.as_str().is_some_and(|text| text.starts_with(prefix))
            }
        }
    }
}

fn lookup<'a>(metadata: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = metadata.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    lookup(metadata.get(first)?.as_object()?, rest)
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(_), Value::Number(_)) => order(a, b) == Some(Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

/// How two values stand to each other, if they can be compared.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => match (integer(a), integer(b)) {
            // 64-bit integers compare exactly, beyond what a double holds.
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        _ => None,
    }
}

fn integer(number: &serde_json::Number) -> Option<i128> {
    number
        .as_i64()
        .map(i128::from)
        .or_else(|| number.as_u64().map(i128::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn matches(filter: Value, metadata: Value) -> bool {
        Filter::parse(&filter)
            .unwrap()
            .matches(Some(&metadata.to_string()))
    }

    #[test]
    fn equality_ranges_and_sets() {
        let item =
            json!({"kind": "a", "n": 5, "deep": {"x": [1, 2.0]}, "big": 9007199254740993_u64});
        for yes in [
            json!({}),
            json!({"kind": "a", "n": 5.0}),
            json!({"n": {"$gt": 4, "$lte": 5}}),
            json!({"kind": {"$in": ["b", "a"]}}),
            json!({"kind": {"$ne": "b"}}),
            json!({"absent": {"$ne": "b"}}),
            json!({"absent": {"$exists": false}}),
            json!({"kind": {"$prefix": ""}}),
            json!({"deep.x": [1.0, 2]}),
            json!({"deep": {"x": [1, 2]}}),
            json!({"big": {"$gt": 9007199254740992_u64}}),
            json!({"$or": [{"n": 1}, {"$not": {"kind": "b"}}]}),
        ] {
            assert!(matches(yes.clone(), item.clone()), "{yes}");
        }
        for no in [
            json!({"kind": "b"}),
            json!({"n": "5"}),
            json!({"n": {"$lt": "9"}}),
            json!({"kind": {"$nin": ["a"]}}),
            json!({"absent": null}),
            json!({"deep.y": 1}),
            json!({"$or": []}),
            json!({"$and": [{"n": 5}, {"kind": "b"}]}),
        ] {
            assert!(!matches(no.clone(), item.clone()), "{no}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (bad, name) in [
            (json!([]), "filter"),
            (json!({"$xor": []}), "$xor"),
            (json!({"a": {"$like": 1}}), "filter.a.$like"),
            (json!({"a": {"$gt": 1, "b": 2}}), "filter.a.b"),
            (json!({"a": {"$in": 1}}), "filter.a.$in"),
            (json!({"$or": [{}, 1]}), "filter.$or[1]"),
        ] {
            let error = Filter::parse(&bad).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
