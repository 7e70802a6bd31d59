//! Filters as the catalog's predicates, to leave out files before they are
//! opened. What cannot be said that way is left to the engine.

use arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Cast, Expr, Like, Operator};
use lakehouse_sdk::catalog::{Comparison, Predicate};
use lakehouse_sdk::types::Literal;

/// Values of an `IN` that are handed on; longer lists rarely rule a file out.
const MOST_VALUES: usize = 200;

/// The columns that filters speak of.
#[derive(Clone, Copy)]
pub struct Columns<'a> {
    /// As the engine sees them.
    pub schema: &'a Schema,
    /// Their Iceberg ids, in the schema's order.
    pub ids: &'a [Option<i32>],
}

/// The conjuncts of `filters` that the catalog understands.
#[must_use]
pub fn from_filters(filters: &[Expr], columns: Columns<'_>) -> Vec<Predicate> {
    let mut predicates = Vec::new();
    for filter in filters {
        conjuncts(filter, columns, &mut predicates);
    }
    predicates
}

fn conjuncts(filter: &Expr, columns: Columns<'_>, out: &mut Vec<Predicate>) {
    match filter {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::And,
            right,
        }) => {
            conjuncts(left, columns, out);
            conjuncts(right, columns, out);
        }
        Expr::BinaryExpr(BinaryExpr {
            op: Operator::Or, ..
        }) => {
            let mut values = Vec::new();
            if let Some(column) = alternatives(filter, &mut values) {
                push(out, columns, column, Comparison::In, values);
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let Some(op) = comparison(*op) else { return };
            match (left.as_ref(), right.as_ref()) {
                (Expr::Column(column), Expr::Literal(value, _)) => {
                    push(out, columns, &column.name, op, [value]);
                }
                (Expr::Literal(value, _), Expr::Column(column)) => {
                    push(out, columns, &column.name, swap(op), [value]);
                }
                (Expr::Cast(cast), Expr::Literal(value, _)) => {
                    fraction(cast, op, value, columns, out);
                }
                (Expr::Literal(value, _), Expr::Cast(cast)) => {
                    fraction(cast, swap(op), value, columns, out);
                }
                _ => {}
            }
        }
        Expr::Between(Between {
            expr,
            negated: false,
            low,
            high,
        }) => {
            if let (Expr::Column(column), Expr::Literal(low, _), Expr::Literal(high, _)) =
                (expr.as_ref(), low.as_ref(), high.as_ref())
            {
                push(out, columns, &column.name, Comparison::Ge, [low]);
                push(out, columns, &column.name, Comparison::Le, [high]);
            }
        }
        Expr::InList(InList {
            expr,
            list,
            negated: false,
        }) if list.len() <= MOST_VALUES => {
            let values: Option<Vec<&ScalarValue>> = list
                .iter()
                .map(|item| match item {
                    Expr::Literal(value, _) => Some(value),
                    _ => None,
                })
                .collect();
            if let (Expr::Column(column), Some(values)) = (expr.as_ref(), values) {
                push(out, columns, &column.name, Comparison::In, values);
            }
        }
        Expr::IsNull(inner) => {
            if let Expr::Column(column) = inner.as_ref() {
                push(out, columns, &column.name, Comparison::IsNull, []);
            }
        }
        Expr::IsNotNull(inner) => {
            if let Expr::Column(column) = inner.as_ref() {
                push(out, columns, &column.name, Comparison::NotNull, []);
            }
        }
        Expr::Like(Like {
            negated: false,
            expr,
            pattern,
            escape_char: None,
            case_insensitive: false,
        }) => {
            if let (Expr::Column(column), Expr::Literal(pattern, _)) =
                (expr.as_ref(), pattern.as_ref())
                && let Some(Some(pattern)) = pattern.try_as_str()
                && let Some(prefix) = plain_prefix(pattern)
            {
                let value = ScalarValue::Utf8View(Some(prefix.to_owned()));
                push(out, columns, &column.name, Comparison::StartsWith, [&value]);
            }
        }
        _ => {}
    }
}

/// Whole numbers up to here are exact as `f64`, and those beyond stay beyond.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// `CAST(whole AS DOUBLE) < 100.5`, as the planner writes `whole < 100.5`: the same
/// as `whole <= 100`.
fn fraction(
    cast: &Cast,
    op: Comparison,
    value: &ScalarValue,
    columns: Columns<'_>,
    out: &mut Vec<Predicate>,
) {
    let (Expr::Column(column), ScalarValue::Float64(Some(value))) = (cast.expr.as_ref(), value)
    else {
        return;
    };
    let whole = columns
        .schema
        .field_with_name(&column.name)
        .is_ok_and(|field| matches!(field.data_type(), DataType::Int32 | DataType::Int64));
    if !whole || value.fract() == 0.0 || !(-EXACT..EXACT).contains(value) {
        return;
    }
    let (op, bound) = match op {
        Comparison::Lt | Comparison::Le => (Comparison::Le, value.floor()),
        Comparison::Gt | Comparison::Ge => (Comparison::Ge, value.ceil()),
        _ => return,
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole, and in the range above"
    )]
    let bound = ScalarValue::Int64(Some(bound as i64));
    push(out, columns, &column.name, op, [&bound]);
}

/// The column of `c = 1 OR c = 2 OR …`, as the optimizer writes a short `IN`;
/// its values are added to `values`.
fn alternatives<'a>(filter: &'a Expr, values: &mut Vec<&'a ScalarValue>) -> Option<&'a str> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else {
        return None;
    };
    match (op, left.as_ref(), right.as_ref()) {
        (Operator::Or, left, right) => {
            let column = alternatives(left, values)?;
            (alternatives(right, values)? == column).then_some(column)
        }
        (Operator::Eq, Expr::Column(column), Expr::Literal(value, _))
        | (Operator::Eq, Expr::Literal(value, _), Expr::Column(column)) => {
            values.push(value);
            Some(&column.name)
        }
        _ => None,
    }
}

fn comparison(op: Operator) -> Option<Comparison> {
    Some(match op {
        Operator::Eq => Comparison::Eq,
        Operator::NotEq => Comparison::Ne,
        Operator::Lt => Comparison::Lt,
        Operator::LtEq => Comparison::Le,
        Operator::Gt => Comparison::Gt,
        Operator::GtEq => Comparison::Ge,
        _ => return None,
    })
}

/// The comparison with its sides exchanged.
fn swap(op: Comparison) -> Comparison {
    match op {
        Comparison::Lt => Comparison::Gt,
        Comparison::Le => Comparison::Ge,
        Comparison::Gt => Comparison::Lt,
        Comparison::Ge => Comparison::Le,
        other => other,
    }
}

/// The text before the first wildcard, if there is some.
fn plain_prefix(pattern: &str) -> Option<&str> {
    if pattern.contains('\\') {
        return None;
    }
    let end = pattern.find(['%', '_']).unwrap_or(pattern.len());
    (end > 0).then(|| &pattern[..end])
}

fn push<'a>(
    out: &mut Vec<Predicate>,
    columns: Columns<'_>,
    column: &str,
    op: Comparison,
    values: impl IntoIterator<Item = &'a ScalarValue>,
) {
    let Some((index, field)) = columns.schema.column_with_name(column) else {
        return;
    };
    let Some(field_id) = columns.ids.get(index).copied().flatten() else {
        return;
    };
    let values: Option<Vec<Literal>> = values
        .into_iter()
        .map(|value| literal(value, field.data_type()))
        .collect();
    if let Some(values) = values {
        out.push(Predicate {
            field_id,
            op,
            values,
        });
    }
}

/// A value as a literal of the column's type; none where it has none, or is null.
fn literal(value: &ScalarValue, column: &DataType) -> Option<Literal> {
    if value.is_null() {
        return None;
    }
    let value = if value.data_type() == *column {
        value.clone()
    } else {
        // Only where nothing can be lost: a comparison with 1.5 is not one with 1.
        let cast = value.cast_to(column).ok()?;
        if cast.cast_to(&value.data_type()).ok()? != *value {
            return None;
        }
        cast
    };
    Some(match value {
        ScalarValue::Boolean(Some(value)) => Literal::Boolean(value),
        ScalarValue::Int32(Some(value)) => Literal::Integer(i64::from(value)),
        ScalarValue::Int64(Some(value)) => Literal::Integer(value),
        ScalarValue::Float32(Some(value)) if !value.is_nan() => Literal::Floating(f64::from(value)),
        ScalarValue::Float64(Some(value)) if !value.is_nan() => Literal::Floating(value),
        ScalarValue::Decimal128(Some(value), _, scale) => {
            Literal::Decimal((value.to_be_bytes().to_vec(), u32::try_from(scale).ok()?))
        }
        ScalarValue::Date32(Some(days)) => Literal::Date(days),
        ScalarValue::Time64Microsecond(Some(micros)) => Literal::Time(micros),
        ScalarValue::TimestampMicrosecond(Some(micros), _)
            if matches!(column, DataType::Timestamp(TimeUnit::Microsecond, _)) =>
        {
            Literal::Timestamp(micros)
        }
        ScalarValue::Utf8View(Some(text)) | ScalarValue::Utf8(Some(text)) => Literal::Text(text),
        ScalarValue::BinaryView(Some(bytes)) | ScalarValue::Binary(Some(bytes)) => {
            Literal::Binary(bytes)
        }
        ScalarValue::FixedSizeBinary(_, Some(bytes)) => Literal::Binary(bytes),
        _ => return None,
    })
}
