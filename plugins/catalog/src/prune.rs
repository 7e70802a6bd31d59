//! Whether a file, or all files of a manifest, can be left out of a scan.
//!
//! Everything here errs on one side: what cannot be proven to hold no matching
//! row is read. The order is the one of the SQL engine: floating-point numbers
//! are ordered totally, so NaN is above every other number, and -0 is below 0.

use std::cmp::Ordering;

use lakehouse_sdk::catalog_export::{ColumnStats, Comparison};
use lakehouse_sdk::types::Literal;

/// What is known of one column in a set of rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// No value that is neither null nor NaN is below this.
    pub lower: Option<&'a Literal>,
    /// No value that is neither null nor NaN is above this.
    pub upper: Option<&'a Literal>,
    /// Surely no row is null.
    pub no_nulls: bool,
    /// Surely every row is null.
    pub all_nulls: bool,
    /// Surely no value is NaN; true for what is no floating-point number.
    pub no_nans: bool,
}

impl<'a> Known<'a> {
    /// What a file's statistics say of a column.
    pub fn of_file(stats: &'a ColumnStats, rows: u64) -> Self {
        let floating = [&stats.lower, &stats.upper]
            .into_iter()
            .any(|bound| matches!(bound, Some(Literal::Floating(_))));
        Self {
            lower: stats.lower.as_ref(),
            upper: stats.upper.as_ref(),
            no_nulls: stats.nulls == Some(0),
            all_nulls: stats
                .nulls
                .is_some_and(|nulls| nulls >= stats.values.unwrap_or(rows)),
            no_nans: stats.nans == Some(0) || (!floating && stats.lower.is_some()),
        }
    }

    /// Whether some row may satisfy the comparison.
    pub fn may_match(&self, op: Comparison, values: &[Literal]) -> bool {
        match op {
            Comparison::IsNull => return !self.no_nulls,
            Comparison::NotNull => return !self.all_nulls,
            _ if self.all_nulls => return false,
            _ => {}
        }
        if op == Comparison::In {
            return values.is_empty() || values.iter().any(|v| self.may_equal(v));
        }
        let [value] = values else {
            return true;
        };
        if is_nan(value) {
            return true;
        }
        match op {
            Comparison::Eq => self.may_equal(value),
            Comparison::Ne => self.may_differ(value),
            Comparison::Lt => !at_least(self.lower, value),
            Comparison::Le => !above(self.lower, value),
            // NaN is above every value and not within the bounds.
            Comparison::Gt => !(self.no_nans && at_most(self.upper, value)),
            Comparison::Ge => !(self.no_nans && below(self.upper, value)),
            Comparison::StartsWith => self.may_start_with(value),
            Comparison::In | Comparison::IsNull | Comparison::NotNull => true,
        }
    }

    fn may_equal(&self, value: &Literal) -> bool {
        is_nan(value) || !(above(self.lower, value) || below(self.upper, value))
    }

    fn may_differ(&self, value: &Literal) -> bool {
        // Bounds that meet are the one value of all rows.
        let only = at_least(self.lower, value) && at_most(self.upper, value);
        !(only && self.no_nans)
    }

    fn may_start_with(&self, value: &Literal) -> bool {
        let Literal::Text(prefix) = value else {
            return true;
        };
        let before = |bound: Option<&Literal>| match bound {
            Some(Literal::Text(bound)) => bound.as_str() < prefix.as_str(),
            _ => false,
        };
        let beyond = |bound: Option<&Literal>| match bound {
            Some(Literal::Text(bound)) => {
                bound.as_str() > prefix.as_str() && !bound.starts_with(prefix.as_str())
            }
            _ => false,
        };
        !(before(self.upper) || beyond(self.lower))
    }
}

fn is_nan(value: &Literal) -> bool {
    matches!(value, Literal::Floating(v) if v.is_nan())
}

fn above(bound: Option<&Literal>, value: &Literal) -> bool {
    bound.and_then(|b| compare(b, value)) == Some(Ordering::Greater)
}

fn below(bound: Option<&Literal>, value: &Literal) -> bool {
    bound.and_then(|b| compare(b, value)) == Some(Ordering::Less)
}

fn at_least(bound: Option<&Literal>, value: &Literal) -> bool {
    bound
        .and_then(|b| compare(b, value))
        .is_some_and(Ordering::is_ge)
}

fn at_most(bound: Option<&Literal>, value: &Literal) -> bool {
    bound
        .and_then(|b| compare(b, value))
        .is_some_and(Ordering::is_le)
}

/// How two values compare; none if that cannot be said for sure.
fn compare(a: &Literal, b: &Literal) -> Option<Ordering> {
    match (a, b) {
        (Literal::Boolean(a), Literal::Boolean(b)) => Some(a.cmp(b)),
        (Literal::Integer(a), Literal::Integer(b)) => Some(a.cmp(b)),
        // Writers differ in what they say of zeros with a sign.
        (Literal::Floating(a), Literal::Floating(b)) if *a == 0.0 && *b == 0.0 => None,
        (Literal::Floating(a), Literal::Floating(b)) => a.partial_cmp(b),
        (Literal::Decimal((a, s)), Literal::Decimal((b, t))) => {
            let (a, b) = (unscaled(a)?, unscaled(b)?);
            let raise = |v: i128, by: u32| v.checked_mul(10_i128.checked_pow(by)?);
            if s < t {
                Some(raise(a, t - s)?.cmp(&b))
            } else {
                Some(a.cmp(&raise(b, s - t)?))
            }
        }
        (Literal::Date(a), Literal::Date(b)) => Some(a.cmp(b)),
        (Literal::Time(a), Literal::Time(b)) => Some(a.cmp(b)),
        (Literal::Timestamp(a), Literal::Timestamp(b)) => Some(a.cmp(b)),
        (Literal::Text(a), Literal::Text(b)) => Some(a.cmp(b)),
        (Literal::Binary(a), Literal::Binary(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// The number in two's-complement big-endian bytes.
fn unscaled(bytes: &[u8]) -> Option<i128> {
    let first = *bytes.first()?;
    let start = 16_usize.checked_sub(bytes.len())?;
    let mut wide = if first & 0x80 == 0 {
        [0; 16]
    } else {
        [0xff; 16]
    };
    wide[start..].copy_from_slice(bytes);
    Some(i128::from_be_bytes(wide))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Comparison::{Eq, Ge, Gt, In, IsNull, Le, Lt, Ne, NotNull, StartsWith};

    fn int(v: i64) -> Literal {
        Literal::Integer(v)
    }

    fn text(v: &str) -> Literal {
        Literal::Text(v.to_owned())
    }

    fn number(v: f64) -> Literal {
        Literal::Floating(v)
    }

    fn decimal(v: i128, scale: u32) -> Literal {
        Literal::Decimal((v.to_be_bytes().to_vec(), scale))
    }

    fn stats(lower: Option<Literal>, upper: Option<Literal>) -> ColumnStats {
        ColumnStats {
            field_id: 1,
            size: None,
            values: Some(10),
            nulls: Some(0),
            nans: None,
            lower,
            upper,
        }
    }

    fn may(stats: &ColumnStats, op: Comparison, value: Literal) -> bool {
        Known::of_file(stats, 10).may_match(op, &[value])
    }

    #[test]
    fn bounds_rule_out_what_lies_beyond_them() {
        let s = stats(Some(int(10)), Some(int(20)));
        for (op, value, expected) in [
            (Eq, 9, false),
            (Eq, 10, true),
            (Eq, 20, true),
            (Eq, 21, false),
            (Lt, 10, false),
            (Lt, 11, true),
            (Le, 9, false),
            (Le, 10, true),
            (Gt, 20, false),
            (Gt, 19, true),
            (Ge, 21, false),
            (Ge, 20, true),
            (Ne, 10, true),
        ] {
            assert_eq!(may(&s, op, int(value)), expected, "{op:?} {value}");
        }
        let k = Known::of_file(&s, 10);
        assert!(!k.may_match(In, &[int(1), int(30)]));
        assert!(k.may_match(In, &[int(1), int(15)]));
    }

    #[test]
    fn every_value_within_the_bounds_is_kept() {
        // Any value v in a file bounded by [l, u] that satisfies the comparison
        // must keep the file: tried for all small combinations.
        for l in -2..=2 {
            for u in l..=2 {
                let s = stats(Some(int(l)), Some(int(u)));
                for x in -3..=3 {
                    for v in l..=u {
                        for (op, holds) in [
                            (Eq, v == x),
                            (Ne, v != x),
                            (Lt, v < x),
                            (Le, v <= x),
                            (Gt, v > x),
                            (Ge, v >= x),
                        ] {
                            assert!(!holds || may(&s, op, int(x)), "{op:?} {x} in {l}..={u}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn one_value_only_is_ruled_out_by_not_equal() {
        let s = stats(Some(int(7)), Some(int(7)));
        assert!(!may(&s, Ne, int(7)));
        assert!(may(&s, Ne, int(8)));
        let unknown_nans = stats(Some(number(7.0)), Some(number(7.0)));
        assert!(may(&unknown_nans, Ne, number(7.0)));
    }

    #[test]
    fn nulls_count() {
        let mut s = stats(None, None);
        assert!(!Known::of_file(&s, 10).may_match(IsNull, &[]));
        assert!(Known::of_file(&s, 10).may_match(NotNull, &[]));
        s.nulls = Some(10);
        assert!(Known::of_file(&s, 10).may_match(IsNull, &[]));
        assert!(!Known::of_file(&s, 10).may_match(NotNull, &[]));
        assert!(!may(&s, Eq, int(1)));
        s.nulls = None;
        assert!(Known::of_file(&s, 10).may_match(IsNull, &[]));
        assert!(Known::of_file(&s, 10).may_match(NotNull, &[]));
        assert!(may(&s, Eq, int(1)));
    }

    #[test]
    fn nan_is_above_everything() {
        let mut s = stats(Some(number(1.0)), Some(number(2.0)));
        assert!(may(&s, Gt, number(5.0)), "there may be a NaN");
        assert!(may(&s, Eq, number(f64::NAN)));
        assert!(!may(&s, Lt, number(1.0)));
        assert!(!may(&s, Eq, number(5.0)));
        s.nans = Some(0);
        assert!(!may(&s, Gt, number(5.0)));
        assert!(!may(&s, Ge, number(2.5)));
    }

    #[test]
    fn zeros_with_a_sign_are_not_trusted() {
        let mut s = stats(Some(number(0.0)), Some(number(0.0)));
        s.nans = Some(0);
        for op in [Eq, Ne, Lt, Le, Gt, Ge] {
            assert!(may(&s, op, number(-0.0)), "{op:?}");
            assert!(may(&s, op, number(0.0)), "{op:?}");
        }
    }

    #[test]
    fn cut_texts_still_bound() {
        // "app..." to "b": cut to one character, the upper one raised.
        let s = stats(Some(text("a")), Some(text("c")));
        assert!(may(&s, Eq, text("apple")));
        assert!(may(&s, StartsWith, text("ap")));
        assert!(may(&s, StartsWith, text("b")));
        assert!(!may(&s, StartsWith, text("d")));
        let s = stats(Some(text("mango")), Some(text("melon")));
        assert!(may(&s, StartsWith, text("m")));
        assert!(may(&s, StartsWith, text("mango and more")));
        assert!(!may(&s, StartsWith, text("ma")) || may(&s, StartsWith, text("mango")));
        assert!(!may(&s, StartsWith, text("a")));
        assert!(!may(&s, StartsWith, text("n")));
    }

    #[test]
    fn decimals_compare_across_scales() {
        let s = stats(Some(decimal(-150, 2)), Some(decimal(99_999, 2)));
        assert!(!may(&s, Lt, decimal(-15, 1)));
        assert!(may(&s, Lt, decimal(-14, 1)));
        assert!(!may(&s, Gt, decimal(1_000, 0)));
        assert!(may(&s, Gt, decimal(i128::MAX, 0)), "too large to say");
    }

    #[test]
    fn other_types_rule_nothing_out() {
        let s = stats(Some(int(1)), Some(int(2)));
        assert!(may(&s, Eq, text("x")));
        assert!(may(&s, StartsWith, int(9)));
        assert!(Known::of_file(&s, 10).may_match(Eq, &[]));
    }
}
