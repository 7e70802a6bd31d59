//! Schemas: Arrow IPC bytes as callers send them, and Iceberg's.

use std::collections::{HashMap, HashSet};
use std::io::Cursor;
use std::sync::Arc;

use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, FieldRef, Schema as ArrowSchema};
use iceberg::arrow::{
    arrow_schema_to_schema, arrow_schema_to_schema_auto_assign_ids, schema_to_arrow_schema,
};
use iceberg::spec::{
    FormatVersion, PrimitiveType, Schema, SchemaRef, SortOrder, TableMetadataBuilder, Type,
    UnboundPartitionSpec,
};
use lakehouse_sdk::types::Error;

/// Metadata key of a field's Iceberg id, as in Parquet files.
const FIELD_ID: &str = "PARQUET:field_id";

/// A schema that a caller sent.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// As an Iceberg schema. Its field ids mean something only with `has_ids`.
    pub schema: Schema,
    /// Whether every field carried its id, and the ids are trusted.
    pub has_ids: bool,
    /// Names of columns that hold nothing but nulls (Arrow's null type) and so
    /// fit every optional column. They are texts in `schema`.
    pub nulls: HashSet<String>,
}

/// Whether field ids that a caller sent say anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// They are those of the table.
    Trusted,
    /// They come from wherever the data comes from: a Parquet file of another
    /// table, for example.
    Ignored,
}

/// Reads a schema out of Arrow IPC stream bytes.
///
/// # Errors
/// [`Error::Invalid`] naming the column that no table can hold.
pub fn decode(bytes: &[u8], ids: Ids) -> Result<Incoming, Error> {
    let reader = StreamReader::try_new(Cursor::new(bytes), None)
        .map_err(|e| Error::Invalid(format!("the schema is not an Arrow IPC stream: {e}")))?;
    let arrow = reader.schema();
    if arrow.fields().is_empty() {
        return Err(Error::Invalid("the schema has no column".to_owned()));
    }
    let mut names = HashSet::new();
    let mut nulls = HashSet::new();
    let mut fields: Vec<FieldRef> = Vec::with_capacity(arrow.fields().len());
    for (index, field) in arrow.fields().iter().enumerate() {
        let name = field.name();
        if name.is_empty() {
            let position = index + 1;
            return Err(Error::Invalid(format!("column {position} has no name")));
        }
        if !names.insert(name.as_str()) {
            return Err(Error::Invalid(format!("two columns are named {name:?}")));
        }
        let field = if field.data_type() == &DataType::Null {
            nulls.insert(name.clone());
            Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8))
        } else {
            Arc::clone(field)
        };
        // One column at a time, so that an error can name it.
        arrow_schema_to_schema_auto_assign_ids(&ArrowSchema::new(vec![Arc::clone(&field)]))
            .map_err(|e| {
                Error::Invalid(format!(
                    "column {name:?} of type {} cannot be stored: {}",
                    field.data_type(),
                    e.message()
                ))
            })?;
        fields.push(field);
    }
    let has_ids = ids == Ids::Trusted && fields.iter().all(|field| has_ids(field));
    let arrow = ArrowSchema::new(fields);
    let schema = if has_ids {
        arrow_schema_to_schema(&arrow)
    } else {
        arrow_schema_to_schema_auto_assign_ids(&arrow)
    }
    .map_err(|e| Error::Invalid(format!("the schema cannot be stored: {}", e.message())))?;
    for field in schema.as_struct().fields() {
        check_format(&field.name, &field.field_type)?;
    }
    Ok(Incoming {
        schema,
        has_ids,
        nulls,
    })
}

/// Writes a schema as Arrow IPC stream bytes, with field ids.
///
/// # Errors
/// [`Error::Unsupported`] if Arrow has no such type.
pub fn encode(schema: &Schema) -> Result<Vec<u8>, Error> {
    let arrow = schema_to_arrow_schema(schema)
        .map_err(|e| Error::Unsupported(format!("the table's schema: {}", e.message())))?;
    let internal = |e| Error::Internal(format!("cannot encode a schema: {e}"));
    let mut writer = StreamWriter::try_new(Vec::new(), &arrow).map_err(internal)?;
    writer.finish().map_err(internal)?;
    writer.into_inner().map_err(internal)
}

/// The schema of a new table: the incoming columns with fresh ids.
///
/// Ids start at 1 and are given level by level, in the order of the columns,
/// so the same columns always get the same ids: what `prepare-write` says
/// before the table is there still holds when `commit` makes it.
///
/// # Errors
/// [`Error::Invalid`] if no table can have this schema.
pub fn fresh(incoming: &Incoming) -> Result<SchemaRef, Error> {
    Ok(Arc::clone(
        new_table(incoming, "unused", HashMap::new())?.current_schema(),
    ))
}

/// The metadata of a new, empty table of format version 2.
///
/// # Errors
/// [`Error::Invalid`] if the schema or a property is not allowed.
pub fn new_table(
    incoming: &Incoming,
    location: &str,
    properties: HashMap<String, String>,
) -> Result<iceberg::spec::TableMetadata, Error> {
    TableMetadataBuilder::new(
        incoming.schema.clone(),
        UnboundPartitionSpec::default(),
        SortOrder::unsorted_order(),
        location.to_owned(),
        FormatVersion::V2,
        properties,
    )
    .and_then(TableMetadataBuilder::build)
    .map(|built| built.metadata)
    .map_err(|e| Error::Invalid(format!("the table cannot be made: {}", e.message())))
}

fn has_ids(field: &Field) -> bool {
    let own = field.metadata().contains_key(FIELD_ID);
    own && match field.data_type() {
        DataType::Struct(fields) => fields.iter().all(|f| has_ids(f)),
        DataType::List(f) | DataType::LargeList(f) | DataType::FixedSizeList(f, _) => has_ids(f),
        // The entries of a map are no field of Iceberg's; key and value are.
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => fields.iter().all(|f| has_ids(f)),
            _ => false,
        },
        _ => true,
    }
}

/// Refuses what format version 2 does not have.
fn check_format(path: &str, field_type: &Type) -> Result<(), Error> {
    match field_type {
        Type::Primitive(PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs) => {
            Err(Error::Invalid(format!(
                "column {path:?}: Iceberg v2 keeps times in microseconds, not nanoseconds"
            )))
        }
        Type::Primitive(_) => Ok(()),
        Type::Struct(inner) => inner
            .fields()
            .iter()
            .try_for_each(|f| check_format(&format!("{path}.{}", f.name), &f.field_type)),
        Type::List(list) => check_format(path, &list.element_field.field_type),
        Type::Map(map) => {
            check_format(path, &map.key_field.field_type)?;
            check_format(path, &map.value_field.field_type)
        }
    }
}

#[cfg(test)]
pub mod testing {
    //! Schemas for tests.

    use super::*;

    /// Arrow IPC bytes of a schema.
    pub fn ipc(fields: Vec<Field>) -> Vec<u8> {
        let mut writer = StreamWriter::try_new(Vec::new(), &ArrowSchema::new(fields)).unwrap();
        writer.finish().unwrap();
        writer.into_inner().unwrap()
    }

    /// An optional column.
    pub fn optional(name: &str, data_type: DataType) -> Field {
        Field::new(name, data_type, true)
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::TimeUnit;

    use super::testing::{ipc, optional};
    use super::*;

    fn nested() -> Vec<Field> {
        let point = DataType::Struct(
            vec![
                optional("x", DataType::Float64),
                optional("y", DataType::Float64),
            ]
            .into(),
        );
        vec![
            optional("a", DataType::Int64),
            optional("p", point),
            optional(
                "l",
                DataType::List(Arc::new(optional("element", DataType::Utf8))),
            ),
            Field::new("z", DataType::Date32, false),
        ]
    }

    #[test]
    fn fresh_ids_are_the_same_each_time_and_survive_the_way_through_ipc() {
        let incoming = decode(&ipc(nested()), Ids::Trusted).unwrap();
        assert!(!incoming.has_ids);
        let first = fresh(&incoming).unwrap();
        let ids: Vec<i32> = first.as_struct().fields().iter().map(|f| f.id).collect();
        assert_eq!(ids, [1, 2, 3, 4]);
        assert_eq!(first.field_id_by_name("p.y"), Some(6));
        assert_eq!(first.field_id_by_name("l.element"), Some(7));
        let again = decode(&encode(&first).unwrap(), Ids::Trusted).unwrap();
        assert!(again.has_ids);
        assert_eq!(again.schema.as_struct(), first.as_struct());
        assert_eq!(fresh(&again).unwrap().as_struct(), first.as_struct());
    }

    #[test]
    fn what_no_table_can_hold_is_named() {
        let nanos = DataType::Timestamp(TimeUnit::Nanosecond, None);
        for (fields, part) in [
            (vec![], "no column"),
            (vec![optional("", DataType::Int32)], "column 1"),
            (
                vec![
                    optional("a", DataType::Int32),
                    optional("a", DataType::Utf8),
                ],
                "\"a\"",
            ),
            (vec![optional("u", DataType::UInt64)], "\"u\""),
            (vec![optional("t", nanos)], "\"t\""),
        ] {
            let Err(Error::Invalid(text)) = decode(&ipc(fields), Ids::Ignored) else {
                panic!("{part}")
            };
            assert!(text.contains(part), "{text}");
        }
        for bytes in [&b""[..], b"hello", &[0xff; 64]] {
            assert!(matches!(
                decode(bytes, Ids::Ignored),
                Err(Error::Invalid(_))
            ));
        }
    }

    #[test]
    fn ids_of_other_tables_are_ignored() {
        let id = |name: &str| {
            let metadata = HashMap::from([(FIELD_ID.to_owned(), "7".to_owned())]);
            optional(name, DataType::Utf8).with_metadata(metadata)
        };
        let bytes = ipc(vec![id("a"), id("b")]);
        assert!(matches!(
            decode(&bytes, Ids::Trusted),
            Err(Error::Invalid(_))
        ));
        let incoming = decode(&bytes, Ids::Ignored).unwrap();
        assert_eq!(fresh(&incoming).unwrap().field_id_by_name("b"), Some(2));
    }

    #[test]
    fn a_column_of_nulls_is_kept_in_mind() {
        let incoming = decode(&ipc(vec![optional("n", DataType::Null)]), Ids::Ignored).unwrap();
        assert!(incoming.nulls.contains("n"));
    }
}
