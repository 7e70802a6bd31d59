//! Data files under the names that a table has for their columns.
//!
//! Iceberg finds a column in a file by its field id, so a column that was renamed is
//! still found, and one that took another's name is not taken for it. Engines find
//! columns by name. [`ColumnsById`] gives them a file's metadata with the table's
//! names in the place of the file's, at every level of nesting; a column that the
//! table does not have keeps its own name, or gets another one if the table uses it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema};
use parquet::arrow::{ARROW_SCHEMA_META_KEY, PARQUET_FIELD_ID_META_KEY};
use parquet::errors::ParquetError;
use parquet::file::metadata::{FileMetaData, ParquetMetaData, ParquetMetaDataBuilder};
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

use crate::Error;
use crate::name_mapping::{self, NameMapping};

/// The columns of one version of a table, to find in its files.
#[derive(Clone, Debug)]
pub struct ColumnsById {
    fields: Fields,
    mapping: Option<NameMapping>,
}

/// The Iceberg id of a column, from the metadata of its Arrow field.
#[must_use]
pub fn field_id(field: &Field) -> Option<i32> {
    field
        .metadata()
        .get(PARQUET_FIELD_ID_META_KEY)?
        .parse()
        .ok()
}

impl ColumnsById {
    /// The columns of `schema`, which carries field ids, in files of a table with
    /// these `properties`.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if the property `schema.name-mapping.default` is not
    /// what Iceberg defines.
    pub fn try_new(schema: &Schema, properties: &[(String, String)]) -> Result<Self, Error> {
        let mapping = properties
            .iter()
            .find(|(name, _)| name == name_mapping::PROPERTY)
            .map(|(name, json)| {
                NameMapping::parse(json)
                    .map_err(|error| Error::Unreadable(format!("table property {name}: {error}")))
            })
            .transpose()?;
        Ok(Self {
            fields: schema.fields().clone(),
            mapping,
        })
    }

    /// A file's metadata under the table's names; none if it has them already.
    ///
    /// # Errors
    /// [`Error::Unreadable`] for a file that carries no ids and that no name mapping
    /// tells of, and for one that lacks fields of a struct within a map.
    pub fn rename(&self, metadata: &ParquetMetaData) -> Result<Option<ParquetMetaData>, Error> {
        let file = metadata.file_metadata();
        let root = file.schema_descr().root_schema();
        let mapping = match &self.mapping {
            _ if has_ids(root) => None,
            Some(mapping) => Some(mapping),
            None => {
                return Err(Error::Unreadable(format!(
                    "its columns carry no field ids, and the table has no property {}",
                    name_mapping::PROPERTY
                )));
            }
        };
        let level = Level {
            fields: &self.fields,
            mapping,
            in_map: false,
        };
        let Some(columns) = level.rename(root.get_fields())? else {
            return Ok(None);
        };
        let schema = SchemaDescriptor::new(rebuild(root, root.name(), Some(columns))?);
        // The embedded Arrow schema has the old names; what it adds to the Parquet
        // types, no Iceberg type needs.
        let pairs = file.key_value_metadata().map(|pairs| {
            let kept = pairs
                .iter()
                .filter(|pair| pair.key != ARROW_SCHEMA_META_KEY);
            kept.cloned().collect()
        });
        let file = FileMetaData::new(
            file.version(),
            file.num_rows(),
            file.created_by().map(str::to_owned),
            pairs,
            Arc::new(schema),
            file.column_orders().cloned(),
        );
        Ok(Some(
            ParquetMetaDataBuilder::new(file)
                .set_row_groups(metadata.row_groups().to_vec())
                .set_column_index(metadata.column_index().cloned())
                .set_offset_index(metadata.offset_index().cloned())
                .build(),
        ))
    }
}

/// The fields of one struct (or of the whole table) to find in a file.
#[derive(Clone, Copy)]
struct Level<'a> {
    fields: &'a Fields,
    /// Where ids come from if the file has none.
    mapping: Option<&'a NameMapping>,
    /// Whether this is in a map: the engine reads structs there by position where
    /// a name is missing.
    in_map: bool,
}

impl<'a> Level<'a> {
    /// The file's columns under the table's names; none if nothing changes.
    fn rename(self, columns: &[TypePtr]) -> Result<Option<Vec<TypePtr>>, Error> {
        let mut changed = false;
        let mut found = 0;
        let mut renamed = Vec::with_capacity(columns.len());
        for column in columns {
            let mapped = self.mapping.and_then(|mapping| mapping.find(column.name()));
            let id = match self.mapping {
                Some(_) => mapped.and_then(|field| field.field_id),
                None => id_of(column),
            };
            let field = self
                .fields
                .iter()
                .find(|field| id.is_some() && field_id(field) == id);
            let (name, inner) = match field {
                Some(field) => {
                    found += 1;
                    let inner = Level {
                        mapping: mapped.map(|field| &field.fields),
                        ..self
                    };
                    (field.name().clone(), inner.within(column, field)?)
                }
                None => (self.other_name(column.name(), columns), None),
            };
            if name == column.name() && inner.is_none() {
                renamed.push(Arc::clone(column));
            } else {
                changed = true;
                renamed.push(rebuild(column, &name, inner)?);
            }
        }
        if self.in_map && found < self.fields.len() {
            return Err(Error::Unreadable(
                "it lacks fields of a struct within a map, which were added since".to_owned(),
            ));
        }
        Ok(changed.then_some(renamed))
    }

    /// The children of a column that holds others, if anything changes in them.
    fn within(self, column: &Type, field: &'a Field) -> Result<Option<Vec<TypePtr>>, Error> {
        if column.is_primitive() {
            return Ok(None);
        }
        let children = column.get_fields();
        match field.data_type() {
            DataType::Struct(fields) => Level { fields, ..self }.rename(children),
            // A repeated group, whose children are the elements, or keys and values.
            DataType::List(element) => self.entries(children, &[element.as_ref()]),
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(pair) => {
                    let pair: Vec<&Field> = pair.iter().map(AsRef::as_ref).collect();
                    Level {
                        in_map: true,
                        ..self
                    }
                    .entries(children, &pair)
                }
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// The repeated group of a list or map; its children go by position and keep
    /// their names.
    fn entries(
        self,
        children: &[TypePtr],
        fields: &[&'a Field],
    ) -> Result<Option<Vec<TypePtr>>, Error> {
        let [group] = children else { return Ok(None) };
        if group.is_primitive() || group.get_fields().len() != fields.len() {
            return Ok(None);
        }
        let mut changed = false;
        let mut entries = Vec::with_capacity(fields.len());
        for (child, field) in group.get_fields().iter().zip(fields) {
            let mapping = self.mapping.and_then(|mapping| mapping.find(child.name()));
            let inner = Level {
                mapping: mapping.map(|field| &field.fields),
                ..self
            };
            match inner.within(child, field)? {
                Some(inner) => {
                    changed = true;
                    entries.push(rebuild(child, child.name(), Some(inner))?);
                }
                None => entries.push(Arc::clone(child)),
            }
        }
        if !changed {
            return Ok(None);
        }
        Ok(Some(vec![rebuild(group, group.name(), Some(entries))?]))
    }

    /// A name for a column that the table does not have.
    fn other_name(self, name: &str, columns: &[TypePtr]) -> String {
        let mut other = name.to_owned();
        while self.fields.iter().any(|field| *field.name() == other)
            || (other != name && columns.iter().any(|column| column.name() == other))
        {
            other.push('#');
        }
        other
    }
}

fn id_of(column: &Type) -> Option<i32> {
    let info = column.get_basic_info();
    info.has_id().then(|| info.id())
}

/// Whether any column has an id.
fn has_ids(group: &Type) -> bool {
    group.get_fields().iter().any(|column| {
        column.get_basic_info().has_id() || (!column.is_primitive() && has_ids(column))
    })
}

/// A column with another name, and other children if there are some.
fn rebuild(
    column: &Type,
    name: &str,
    children: Option<Vec<TypePtr>>,
) -> Result<TypePtr, ParquetError> {
    let info = column.get_basic_info();
    let rebuilt = match column {
        Type::GroupType { fields, .. } => {
            let mut group = Type::group_type_builder(name)
                .with_converted_type(info.converted_type())
                .with_logical_type(info.logical_type_ref().cloned())
                .with_fields(children.unwrap_or_else(|| fields.clone()))
                .with_id(id_of(column));
            if info.has_repetition() {
                group = group.with_repetition(info.repetition());
            }
            group.build()
        }
        Type::PrimitiveType {
            physical_type,
            type_length,
            scale,
            precision,
            ..
        } => Type::primitive_type_builder(name, *physical_type)
            .with_repetition(info.repetition())
            .with_converted_type(info.converted_type())
            .with_logical_type(info.logical_type_ref().cloned())
            .with_length(*type_length)
            .with_scale(*scale)
            .with_precision(*precision)
            .with_id(id_of(column))
            .build(),
    };
    rebuilt.map(Arc::new)
}
