//! Whether an Arrow IPC schema is one.
//!
//! Arrow's conversion panics on a schema that is well-formed flatbuffers and
//! still no schema, and there is no catching a panic in a guest.

use arrow::ipc::{
    DateUnit, Endianness, Field, Int, IntervalUnit, Precision, Schema, TimeUnit, Type,
};

use super::fault::IpcFault;

/// Refuses what the conversion cannot take.
pub(super) fn check(schema: &Schema<'_>) -> Result<(), IpcFault> {
    if schema.endianness() != Endianness::Little {
        return Err(IpcFault::new(
            "the Arrow stream is big-endian; send it little-endian",
        ));
    }
    let fields = schema.fields().into_iter().flatten();
    for field in fields {
        if !converts(&field) {
            let name = field.name().unwrap_or_default();
            return Err(IpcFault::Broken {
                column: Some(name.to_owned()),
                detail: format!(
                    "column '{name}' has an Arrow type that is broken or not supported"
                ),
            });
        }
    }
    if schema.fields().is_none() {
        return Err(IpcFault::new("the Arrow schema has no columns"));
    }
    Ok(())
}

fn converts(field: &Field<'_>) -> bool {
    let children: Vec<Field<'_>> = field.children().into_iter().flatten().collect();
    let index = field.dictionary().map(|dictionary| dictionary.indexType());
    index.is_none_or(|index| index.is_some_and(|index| is_integer(&index)))
        && kind_converts(field, &children)
        && children.iter().all(converts)
}

fn kind_converts(field: &Field<'_>, children: &[Field<'_>]) -> bool {
    match field.type_type() {
        Type::Null
        | Type::Bool
        | Type::Binary
        | Type::BinaryView
        | Type::LargeBinary
        | Type::Utf8
        | Type::Utf8View
        | Type::LargeUtf8
        | Type::Struct_ => true,
        Type::Int => field.type_as_int().is_some_and(|int| is_integer(&int)),
        Type::FixedSizeBinary => field
            .type_as_fixed_size_binary()
            .is_some_and(|fixed| fixed.byteWidth() >= 0),
        Type::FloatingPoint => field.type_as_floating_point().is_some_and(|float| {
            matches!(
                float.precision(),
                Precision::HALF | Precision::SINGLE | Precision::DOUBLE
            )
        }),
        Type::Date => field
            .type_as_date()
            .is_some_and(|date| matches!(date.unit(), DateUnit::DAY | DateUnit::MILLISECOND)),
        Type::Time => field
            .type_as_time()
            .is_some_and(|time| match time.bitWidth() {
                32 => matches!(time.unit(), TimeUnit::SECOND | TimeUnit::MILLISECOND),
                64 => matches!(time.unit(), TimeUnit::MICROSECOND | TimeUnit::NANOSECOND),
                _ => false,
            }),
        Type::Timestamp => field
            .type_as_timestamp()
            .is_some_and(|time| is_unit(time.unit())),
        Type::Duration => field
            .type_as_duration()
            .is_some_and(|time| is_unit(time.unit())),
        Type::Interval => field.type_as_interval().is_some_and(|interval| {
            let unit = interval.unit();
            [
                IntervalUnit::YEAR_MONTH,
                IntervalUnit::DAY_TIME,
                IntervalUnit::MONTH_DAY_NANO,
            ]
            .contains(&unit)
        }),
        Type::Decimal => field.type_as_decimal().is_some_and(|decimal| {
            let most = match decimal.bitWidth() {
                32 => 9,
                64 => 18,
                128 => 38,
                256 => 76,
                _ => 0,
            };
            (1..=most).contains(&decimal.precision())
                && (-decimal.precision()..=decimal.precision()).contains(&decimal.scale())
        }),
        Type::List | Type::LargeList | Type::ListView | Type::LargeListView => children.len() == 1,
        Type::FixedSizeList => {
            children.len() == 1
                && field
                    .type_as_fixed_size_list()
                    .is_some_and(|list| list.listSize() >= 0)
        }
        Type::Map => {
            children.len() == 1
                && field.type_as_map().is_some()
                && children[0].type_type() == Type::Struct_
                && children[0].children().is_some_and(|pair| pair.len() == 2)
        }
        _ => false,
    }
}

fn is_integer(int: &Int<'_>) -> bool {
    matches!(int.bitWidth(), 8 | 16 | 32 | 64)
}

fn is_unit(unit: TimeUnit) -> bool {
    [
        TimeUnit::SECOND,
        TimeUnit::MILLISECOND,
        TimeUnit::MICROSECOND,
        TimeUnit::NANOSECOND,
    ]
    .contains(&unit)
}
