//! A schema as the catalog shows it: columns with Iceberg's ids and types.

use arrow::datatypes::{DataType, Field, Fields, Schema};
use serde_json::{Value, json};

/// The columns of a schema that came from the catalog.
pub(crate) fn columns(schema: &Schema) -> Value {
    fields(schema.fields())
}

fn fields(fields: &Fields) -> Value {
    let field = |field: &Field| {
        json!({
            "id": id(field),
            "name": field.name(),
            "type": kind(field.data_type()),
            "required": !field.is_nullable(),
        })
    };
    fields.iter().map(|item| field(item)).collect()
}

fn id(field: &Field) -> Option<i32> {
    field.metadata().get("PARQUET:field_id")?.parse().ok()
}

/// Primitive types are texts, nested ones objects, as in Iceberg's own JSON.
fn kind(data_type: &DataType) -> Value {
    use DataType as T;
    match data_type {
        T::Boolean => json!("boolean"),
        T::Int32 => json!("int"),
        T::Int64 => json!("long"),
        T::Float32 => json!("float"),
        T::Float64 => json!("double"),
        T::Decimal128(precision, scale) => json!(format!("decimal({precision},{scale})")),
        T::Date32 => json!("date"),
        T::Time64(_) => json!("time"),
        T::Timestamp(_, None) => json!("timestamp"),
        T::Timestamp(_, Some(_)) => json!("timestamptz"),
        T::Utf8 | T::LargeUtf8 => json!("string"),
        T::Binary | T::LargeBinary => json!("binary"),
        T::FixedSizeBinary(size) => json!(format!("fixed[{size}]")),
        T::Struct(inner) => json!({ "type": "struct", "fields": fields(inner) }),
        T::List(item) | T::LargeList(item) => json!({
            "type": "list",
            "element-id": id(item),
            "element": kind(item.data_type()),
            "element-required": !item.is_nullable(),
        }),
        T::Map(entries, _) => match entries.data_type() {
            T::Struct(pair) if pair.len() == 2 => json!({
                "type": "map",
                "key-id": id(&pair[0]),
                "key": kind(pair[0].data_type()),
                "value-id": id(&pair[1]),
                "value": kind(pair[1].data_type()),
                "value-required": !pair[1].is_nullable(),
            }),
            other => json!(other.to_string()),
        },
        other => json!(other.to_string()),
    }
}
