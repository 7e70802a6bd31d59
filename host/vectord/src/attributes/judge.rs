//! Which rows match a filter, as far as the values tell.

use std::cmp::Ordering;
use std::ops::Range;

use serde_json::Value;

use super::{Attributes, EXACT, Kept, Place};
use crate::filter::{Filter, Node, Test};
use crate::rowset::RowSet;

/// What is known of the rows that match.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    /// Rows that match for sure.
    pub must: RowSet,
    /// Rows that may match, if they are not the same.
    pub may: Option<RowSet>,
}

impl Judged {
    /// Rows that match or may.
    pub fn may(&self) -> &RowSet {
        self.may.as_ref().unwrap_or(&self.must)
    }

    fn intersect(&mut self, other: &Self) {
        if self.may.is_some() || other.may.is_some() {
            let mut may = self.may().clone();
            may.intersect(other.may());
            self.may = Some(may);
        }
        self.must.intersect(&other.must);
    }

    fn unite(&mut self, other: &Self) {
        if self.may.is_some() || other.may.is_some() {
            let mut may = self.may().clone();
            may.unite(other.may());
            self.may = Some(may);
        }
        self.must.unite(&other.must);
    }

    fn complement(&mut self) {
        self.must.complement();
        if let Some(may) = &mut self.may {
            may.complement();
            std::mem::swap(may, &mut self.must);
        }
    }
}

impl Attributes {
    /// What the values tell about a filter.
    pub fn judge(&self, filter: &Filter) -> Judged {
        self.node(filter.root())
    }

    fn certain(&self, must: RowSet) -> Judged {
        Judged { must, may: None }
    }

    fn node(&self, node: &Node) -> Judged {
        match node {
            Node::All(nodes) => {
                let mut all = self.certain(RowSet::all(self.rows));
                nodes
                    .iter()
                    .for_each(|node| all.intersect(&self.node(node)));
                all
            }
            Node::Any(nodes) => {
                let mut any = self.certain(RowSet::none(self.rows));
                nodes.iter().for_each(|node| any.unite(&self.node(node)));
                any
            }
            Node::Not(node) => {
                let mut judged = self.node(node);
                judged.complement();
                judged
            }
            Node::Field(name, test) => self.test(name, test),
        }
    }

    fn test(&self, name: &str, test: &Test) -> Judged {
        let Some(place) = self.paths.get(name) else {
            let nowhere = RowSet::none(self.rows);
            return match (self.complete, test) {
                (true, Test::Exists(false)) => self.certain(RowSet::all(self.rows)),
                (true, _) => self.certain(nowhere),
                (false, _) => Judged {
                    must: nowhere,
                    may: Some(RowSet::all(self.rows)),
                },
            };
        };
        match test {
            Test::Exists(wanted) => {
                let mut there = self.certain(self.rows_of(place.values()));
                if !wanted {
                    there.complement();
                }
                there
            }
            Test::Equal(value) => self.equal(place, std::slice::from_ref(value)),
            Test::In(values) => self.equal(place, values),
            Test::Order(accepted, bound) => self.order(place, accepted, bound),
            Test::Prefix(prefix) => {
                let texts = place.texts();
                let from = self.texts_until(place, |text| text < prefix.as_bytes());
                let to = self.texts_until(place, |text| {
                    text < prefix.as_bytes() || text.starts_with(prefix.as_bytes())
                });
                let found = self.rows_of(texts.start + from..texts.start + to);
                self.or_others(place, found)
            }
        }
    }

    /// The rows of a run of values.
    fn rows_of(&self, values: Range<usize>) -> RowSet {
        let mut rows = RowSet::none(self.rows);
        self.add(values, &mut rows);
        rows
    }

    fn add(&self, values: Range<usize>, rows: &mut RowSet) {
        self.members(values)
            .iter()
            .for_each(|row| rows.insert(*row));
    }

    /// What matches, and that a path's others may match too.
    fn or_others(&self, place: &Place, must: RowSet) -> Judged {
        let may = place.path.others.then(|| {
            let mut may = must.clone();
            self.add(place.others(), &mut may);
            may
        });
        Judged { must, may }
    }

    fn equal(&self, place: &Place, values: &[Value]) -> Judged {
        let mut must = RowSet::none(self.rows);
        let mut others = false;
        for value in values {
            match Kept::of(value) {
                Kept::Null => self.add(place.null(), &mut must),
                Kept::Bool(value) => self.add(place.bool(value), &mut must),
                Kept::Number(number) => {
                    // A large integer equals the double nearest to it.
                    others |= number.abs() >= EXACT as f64;
                    self.add(self.number(place, number), &mut must);
                }
                Kept::Text(text) => {
                    let at = self.texts_until(place, |found| found < text.as_bytes());
                    if at < place.path.texts && self.text(place.first_text + at) == text.as_bytes()
                    {
                        let value = place.texts().start + at;
                        self.add(value..value + 1, &mut must);
                    }
                }
                Kept::Other => {
                    // Equal to a double, if it is a large integer.
                    if let Some(number) = value.as_f64() {
                        self.add(self.number(place, number), &mut must);
                    }
                    others = true;
                }
            }
        }
        if others {
            return self.or_others(place, must);
        }
        self.certain(must)
    }

    fn order(&self, place: &Place, accepted: &[Ordering], bound: &Value) -> Judged {
        let (values, below, upto) = match bound {
            Value::String(text) => {
                let text = text.as_bytes();
                let below = self.texts_until(place, |found| found < text);
                let upto = self.texts_until(place, |found| found <= text);
                (place.texts(), below, upto)
            }
            _ => {
                let number = bound.as_f64().unwrap_or(f64::NAN);
                let below = self.numbers_until(place, |found| found < number);
                let upto = self.numbers_until(place, |found| found <= number);
                (place.numbers(), below, upto)
            }
        };
        let mut must = RowSet::none(self.rows);
        let (start, end) = (values.start, values.end);
        for ordering in accepted {
            let run = match ordering {
                Ordering::Less => start..start + below,
                Ordering::Equal => start + below..start + upto,
                Ordering::Greater => start + upto..end,
            };
            self.add(run, &mut must);
        }
        self.or_others(place, must)
    }

    /// The value that a number is, if a path has it.
    fn number(&self, place: &Place, number: f64) -> Range<usize> {
        let at = self.numbers_until(place, |found| found < number);
        let there = self.numbers_of(place).get(at) == Some(&number);
        let value = place.numbers().start + at;
        value..value + usize::from(there)
    }

    fn numbers_of(&self, place: &Place) -> &[f64] {
        &self.numbers[place.first_number..place.first_number + place.path.numbers]
    }

    /// How many of a path's numbers, from the lowest, hold to a test.
    fn numbers_until(&self, place: &Place, holds: impl Fn(f64) -> bool) -> usize {
        let numbers = self.numbers_of(place);
        numbers.partition_point(|number| holds(*number))
    }

    /// How many of a path's texts, from the lowest, hold to a test.
    fn texts_until(&self, place: &Place, holds: impl Fn(&[u8]) -> bool) -> usize {
        let (mut low, mut high) = (0, place.path.texts);
        while low < high {
            let middle = low.midpoint(high);
            if holds(self.text(place.first_text + middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, json};

    use super::*;

    /// Values of every kind, of which many are equal or near.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3_i64..4).prop_map(Value::from),
            (-3_i64..4).prop_map(|n| json!(n as f64)),
            (-3_i64..4).prop_map(|n| json!(n as f64 / 2.0)),
            (0_u64..4).prop_map(|n| json!((1_u64 << 53) - 2 + n)),
            (0_u64..4).prop_map(|n| json!(((1_u64 << 53) - 2 + n) as f64)),
            (0_i64..4).prop_map(|n| json!(-(1_i64 << 53) + 2 - n)),
            "[ab]{0,3}".prop_map(Value::from),
            (126_usize..131).prop_map(|length| json!("a".repeat(length))),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                object(inner).prop_map(Value::from),
            ]
        })
    }

    fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
        let name = prop_oneof![Just("a"), Just("b"), Just("a.b"), Just(""), Just("b.")];
        prop::collection::btree_map(name.prop_map(str::to_owned), value, 0..4)
            .prop_map(|members| members.into_iter().collect())
    }

    fn filter() -> impl Strategy<Value = Value> {
        let name = prop_oneof![
            Just("a"),
            Just("b"),
            Just("a.b"),
            Just("a.a"),
            Just("b.a.b"),
            Just("."),
            Just("c"),
            Just("b."),
        ];
        let bound = value()
            .prop_filter("ordered", |v| v.is_number() || v.is_string())
            .boxed();
        let test = prop_oneof![
            value().prop_map(|v| json!({"$eq": v})),
            value().prop_map(|v| json!({"$ne": v})),
            prop::collection::vec(value(), 0..3).prop_map(|v| json!({"$in": v})),
            prop::collection::vec(value(), 0..3).prop_map(|v| json!({"$nin": v})),
            bound.clone().prop_map(|v| json!({"$gt": v})),
            bound.clone().prop_map(|v| json!({"$gte": v})),
            bound.clone().prop_map(|v| json!({"$lt": v})),
            bound.prop_map(|v| json!({"$lte": v})),
            "[ab]{0,2}".prop_map(|v| json!({"$prefix": v})),
            Just(json!({"$prefix": "a".repeat(127)})),
            any::<bool>().prop_map(|v| json!({"$exists": v})),
        ];
        let leaf = (name, test).prop_map(|(name, test)| json!({name: test}));
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(|v| json!({"$and": v})),
                prop::collection::vec(inner.clone(), 0..3).prop_map(|v| json!({"$or": v})),
                inner.prop_map(|v| json!({"$not": v})),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

        /// What the values tell is what the metadata themselves tell.
        #[test]
        fn values_tell_the_truth(
            rows in prop::collection::vec(prop::option::of(object(value())), 1..20),
            filters in prop::collection::vec(filter(), 1..10),
        ) {
            let rows: Vec<Option<String>> = rows
                .into_iter()
                .map(|row| row.map(|row| Value::from(row).to_string()))
                .collect();
            let attributes = Attributes::build(rows.iter().map(Option::as_deref));
            for filter in filters {
                let parsed = Filter::parse(&filter).unwrap();
                let judged = attributes.judge(&parsed);
                for (row, text) in rows.iter().enumerate() {
                    let matches = parsed.matches(text.as_deref());
                    let (must, may) = (judged.must.contains(row), judged.may().contains(row));
                    prop_assert!(!must || matches, "{filter} must match {text:?}");
                    prop_assert!(may || !matches, "{filter} may match {text:?}");
                }
            }
        }
    }

    #[test]
    fn plain_values_leave_no_doubt() {
        let rows = [
            r#"{"n": 1, "t": "x", "f": true}"#,
            r#"{"n": 2.5, "t": "y"}"#,
            r#"{"n": null}"#,
        ];
        let attributes = Attributes::build(rows.iter().map(|row| Some(*row)));
        for (filter, wanted) in [
            (json!({"n": {"$gte": 1, "$lt": 2.5}}), vec![0]),
            (json!({"t": {"$in": ["y", "z"]}}), vec![1]),
            (json!({"$not": {"f": true}}), vec![1, 2]),
            (json!({"t": {"$prefix": ""}}), vec![0, 1]),
            (
                json!({"n": {"$exists": true}, "other": {"$exists": false}}),
                vec![0, 1, 2],
            ),
        ] {
            let judged = attributes.judge(&Filter::parse(&filter).unwrap());
            assert!(judged.may.is_none(), "{filter}");
            assert_eq!(judged.must.iter().collect::<Vec<_>>(), wanted, "{filter}");
        }
    }

    #[test]
    fn paths_beyond_the_most_are_in_doubt() {
        let rows: Vec<String> = (0..2000)
            .map(|row| format!(r#"{{"k{row}": 1, "common": {row}}}"#))
            .collect();
        let attributes = Attributes::build(rows.iter().map(|row| Some(row.as_str())));
        let judge = |filter: Value| attributes.judge(&Filter::parse(&filter).unwrap());
        let common = judge(json!({"common": {"$lt": 7}}));
        assert_eq!((common.must.count(), common.may), (7, None));
        let rare = judge(json!({"k1999": 1}));
        assert_eq!(rare.must.count(), 0);
        assert!(rare.may().contains(1999));
    }
}
