//! Whether incoming columns fit a table, and how the table grows to hold them.

use std::sync::Arc;

use iceberg::spec::{
    ListType, MapType, NestedField, NestedFieldRef, PrimitiveType, Schema, StructType, Type,
};
use lakehouse_sdk::types::Error;

use crate::schema::Incoming;

/// Who has to bridge a difference of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before writing: the writer casts to the table's types.
    Prepare,
    /// The files are written: every reader must be able to widen what is in them.
    Commit,
}

/// The table's schema with the incoming columns: the same one if nothing is to
/// change, a wider one with `evolve`.
///
/// New ids follow the table's last one, in the order in which the columns are
/// met: the table's columns first, then the new ones.
///
/// # Errors
/// [`Error::Conflict`] that names every column that does not fit.
pub fn fit(
    table: &Schema,
    last_column_id: i32,
    incoming: &Incoming,
    evolve: bool,
    stage: Stage,
) -> Result<Option<Schema>, Error> {
    let mut fit = Fit {
        incoming,
        evolve,
        stage,
        last_id: last_column_id,
        conflicts: Vec::new(),
        changed: false,
    };
    let fields = fit.fields(
        "",
        table.as_struct().fields(),
        incoming.schema.as_struct().fields(),
    );
    if !fit.conflicts.is_empty() {
        return Err(Error::Conflict(fit.conflicts.join("; ")));
    }
    if !fit.changed {
        return Ok(None);
    }
    Schema::builder()
        .with_schema_id(table.schema_id())
        .with_fields(fields)
        .with_identifier_field_ids(table.identifier_field_ids())
        .build()
        .map(Some)
        .map_err(|e| Error::Invalid(format!("the wider schema is not valid: {}", e.message())))
}

struct Fit<'a> {
    incoming: &'a Incoming,
    evolve: bool,
    stage: Stage,
    last_id: i32,
    conflicts: Vec<String>,
    changed: bool,
}

impl Fit<'_> {
    fn fields(
        &mut self,
        parent: &str,
        table: &[NestedFieldRef],
        incoming: &[NestedFieldRef],
    ) -> Vec<NestedFieldRef> {
        let mut fields = Vec::with_capacity(table.len());
        for field in table {
            let path = join(parent, &field.name);
            match incoming.iter().find(|other| other.name == field.name) {
                Some(other) => fields.push(self.field(&path, field, other)),
                None => {
                    if field.required {
                        self.conflicts
                            .push(format!("column {path:?} is required and missing"));
                    }
                    fields.push(Arc::clone(field));
                }
            }
        }
        for other in incoming {
            if table.iter().any(|field| field.name == other.name) {
                continue;
            }
            let path = join(parent, &other.name);
            if self.evolve {
                self.changed = true;
                let added = self.renumber(&path, other);
                fields.push(Arc::new(NestedField {
                    required: false,
                    ..added
                }));
            } else {
                self.conflicts.push(format!(
                    "column {path:?} ({}) is not in the table",
                    other.field_type
                ));
            }
        }
        fields
    }

    fn field(
        &mut self,
        path: &str,
        table: &NestedFieldRef,
        incoming: &NestedFieldRef,
    ) -> NestedFieldRef {
        self.check_id(path, table.id, incoming.id);
        if self.incoming.nulls.contains(path) {
            if table.required {
                self.conflicts.push(format!(
                    "column {path:?} is required and only nulls are given"
                ));
            }
            return Arc::clone(table);
        }
        let field_type = self.kind(path, &table.field_type, &incoming.field_type);
        Arc::new(NestedField {
            field_type: Box::new(field_type),
            ..table.as_ref().clone()
        })
    }

    fn kind(&mut self, path: &str, table: &Type, incoming: &Type) -> Type {
        match (table, incoming) {
            (Type::Primitive(a), Type::Primitive(b)) => {
                if a == b || widens(b, a) || (self.stage == Stage::Prepare && casts(b, a)) {
                    return table.clone();
                }
                if self.evolve && widens(a, b) {
                    self.changed = true;
                    return incoming.clone();
                }
            }
            (Type::Struct(a), Type::Struct(b)) => {
                return Type::Struct(StructType::new(self.fields(path, a.fields(), b.fields())));
            }
            (Type::List(a), Type::List(b)) => {
                let path = join(path, "element");
                return Type::List(ListType {
                    element_field: self.field(&path, &a.element_field, &b.element_field),
                });
            }
            (Type::Map(a), Type::Map(b)) => {
                return Type::Map(MapType {
                    key_field: self.field(&join(path, "key"), &a.key_field, &b.key_field),
                    value_field: self.field(&join(path, "value"), &a.value_field, &b.value_field),
                });
            }
            _ => {}
        }
        self.conflicts.push(format!(
            "column {path:?}: the table has {table}, the data has {incoming}"
        ));
        table.clone()
    }

    /// A new column with ids of its own.
    fn renumber(&mut self, path: &str, field: &NestedField) -> NestedField {
        self.last_id += 1;
        let id = self.last_id;
        self.check_id(path, id, field.id);
        let field_type = match field.field_type.as_ref() {
            Type::Primitive(_) => field.field_type.as_ref().clone(),
            Type::Struct(inner) => Type::Struct(StructType::new(
                inner
                    .fields()
                    .iter()
                    .map(|f| Arc::new(self.renumber(&join(path, &f.name), f)))
                    .collect(),
            )),
            Type::List(list) => Type::List(ListType {
                element_field: Arc::new(self.renumber(&join(path, "element"), &list.element_field)),
            }),
            Type::Map(map) => Type::Map(MapType {
                key_field: Arc::new(self.renumber(&join(path, "key"), &map.key_field)),
                value_field: Arc::new(self.renumber(&join(path, "value"), &map.value_field)),
            }),
        };
        NestedField {
            id,
            field_type: Box::new(field_type),
            ..field.clone()
        }
    }

    /// Files carry ids, so at commit these must be the table's.
    fn check_id(&mut self, path: &str, table: i32, incoming: i32) {
        if self.stage == Stage::Commit && self.incoming.has_ids && table != incoming {
            self.conflicts.push(format!(
                "column {path:?} has field id {table} in the table and {incoming} in the files: \
                 the table has changed since they were written"
            ));
        }
    }
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}.{name}")
    }
}

/// Whether Iceberg lets readers see files of type `from` as type `to`.
fn widens(from: &PrimitiveType, to: &PrimitiveType) -> bool {
    use PrimitiveType::{Decimal, Double, Fixed, Float, Int, Long, Uuid};
    match (from, to) {
        (Int, Long) | (Float, Double) => true,
        // Arrow has no UUID type of its own.
        (Fixed(16), Uuid) => true,
        (
            Decimal {
                precision: p,
                scale: s,
            },
            Decimal {
                precision: q,
                scale: t,
            },
        ) => s == t && p <= q,
        _ => false,
    }
}

/// Whether a writer casts `from` to `to` on the way in, as SQL does.
fn casts(from: &PrimitiveType, to: &PrimitiveType) -> bool {
    use PrimitiveType::{Decimal, Double, Float, Int, Long};
    match (from, to) {
        (Int, Float) | (Int | Long, Double) => true,
        (Int, Decimal { precision, scale }) => precision - scale >= 10,
        (Long, Decimal { precision, scale }) => precision - scale >= 19,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::{DataType, Field};

    use super::*;
    use crate::schema::testing::{ipc, optional};
    use crate::schema::{Ids, decode, encode, fresh};

    fn table(fields: Vec<Field>) -> Schema {
        let incoming = decode(&ipc(fields), Ids::Ignored).unwrap();
        fresh(&incoming).unwrap().as_ref().clone()
    }

    fn try_fit(
        table: &Schema,
        fields: Vec<Field>,
        evolve: bool,
        stage: Stage,
    ) -> Result<Option<Schema>, String> {
        let incoming = decode(&ipc(fields), Ids::Ignored).unwrap();
        fit(table, table.highest_field_id(), &incoming, evolve, stage).map_err(
            |error| match error {
                Error::Conflict(text) => text,
                other => panic!("{other:?}"),
            },
        )
    }

    fn type_of(schema: &Schema, name: &str) -> String {
        schema.field_by_name(name).unwrap().field_type.to_string()
    }

    #[test]
    fn columns_are_matched_by_name_and_optional_ones_may_be_missing() {
        let table = table(vec![
            optional("a", DataType::Int64),
            optional("b", DataType::Utf8),
        ]);
        let subset = vec![optional("b", DataType::Utf8)];
        assert_eq!(try_fit(&table, subset, false, Stage::Commit), Ok(None));
    }

    #[test]
    fn every_column_that_does_not_fit_is_named_with_both_types() {
        let table = table(vec![
            Field::new("a", DataType::Int64, false),
            optional("b", DataType::Utf8),
        ]);
        let data = vec![
            optional("b", DataType::Boolean),
            optional("c", DataType::Date32),
        ];
        let text = try_fit(&table, data, false, Stage::Prepare).unwrap_err();
        for part in [
            "\"a\"", "required", "\"b\"", "string", "boolean", "\"c\"", "date",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn evolving_adds_optional_columns_with_new_ids() {
        let table = table(vec![optional("a", DataType::Int64)]);
        let data = vec![
            Field::new("new", DataType::Utf8, false),
            optional("a", DataType::Int64),
        ];
        let wider = try_fit(&table, data, true, Stage::Prepare)
            .unwrap()
            .unwrap();
        let names: Vec<_> = wider
            .as_struct()
            .fields()
            .iter()
            .map(|f| (f.id, f.name.as_str(), f.required))
            .collect();
        assert_eq!(names, [(1, "a", false), (2, "new", false)]);
    }

    #[test]
    fn evolving_reaches_into_structs() {
        let point = |names: &[&str]| {
            let fields: Vec<_> = names
                .iter()
                .map(|n| optional(n, DataType::Float32))
                .collect();
            vec![
                optional("p", DataType::Struct(fields.into())),
                optional("q", DataType::Utf8),
            ]
        };
        let table = table(point(&["x"]));
        let wider = try_fit(&table, point(&["x", "y"]), true, Stage::Prepare)
            .unwrap()
            .unwrap();
        assert_eq!(wider.field_id_by_name("p.y"), Some(4));
        assert_eq!(wider.field_id_by_name("q"), Some(2));
    }

    #[test]
    fn types_widen_only_as_iceberg_allows() {
        let wide = [
            (DataType::Int32, DataType::Int64, "long"),
            (DataType::Float32, DataType::Float64, "double"),
            (
                DataType::Decimal128(9, 2),
                DataType::Decimal128(12, 2),
                "decimal(12, 2)",
            ),
        ];
        for (narrow, wide, name) in wide {
            let small = table(vec![optional("a", narrow.clone())]);
            let data = || vec![optional("a", wide.clone())];
            assert!(
                try_fit(&small, data(), false, Stage::Commit).is_err(),
                "{name}"
            );
            let wider = try_fit(&small, data(), true, Stage::Commit)
                .unwrap()
                .unwrap();
            assert_eq!(type_of(&wider, "a"), name);
            let large = table(data());
            let back = try_fit(&large, vec![optional("a", narrow)], true, Stage::Commit);
            assert_eq!(back, Ok(None), "{name}");
        }
        for (table_type, data_type) in [
            (DataType::Utf8, DataType::Int64),
            (DataType::Int64, DataType::Float64),
            (DataType::Decimal128(9, 2), DataType::Decimal128(12, 3)),
            (DataType::Date32, DataType::Utf8),
        ] {
            let table = table(vec![optional("a", table_type)]);
            let data = vec![optional("a", data_type)];
            assert!(try_fit(&table, data, true, Stage::Prepare).is_err());
        }
    }

    #[test]
    fn a_writer_casts_integers_but_files_must_hold_the_type() {
        let table = table(vec![optional("a", DataType::Float64)]);
        let data = || vec![optional("a", DataType::Int64)];
        assert_eq!(try_fit(&table, data(), false, Stage::Prepare), Ok(None));
        assert!(try_fit(&table, data(), false, Stage::Commit).is_err());
    }

    #[test]
    fn nulls_fit_every_optional_column() {
        let table = table(vec![optional("a", DataType::Int64)]);
        let data = vec![optional("a", DataType::Null)];
        assert_eq!(try_fit(&table, data, false, Stage::Prepare), Ok(None));
    }

    #[test]
    fn files_written_for_another_schema_are_noticed() {
        let ours = table(vec![
            optional("a", DataType::Int64),
            optional("b", DataType::Int64),
        ]);
        let theirs = table(vec![
            optional("b", DataType::Int64),
            optional("a", DataType::Int64),
        ]);
        let incoming = decode(&encode(&ours).unwrap(), Ids::Trusted).unwrap();
        let fits = |stage| fit(&theirs, 2, &incoming, true, stage);
        assert!(fits(Stage::Prepare).is_ok());
        let Err(Error::Conflict(text)) = fits(Stage::Commit) else {
            panic!("it fits")
        };
        assert!(
            text.contains("\"a\"") && text.contains("field id"),
            "{text}"
        );
    }

    #[test]
    fn what_was_prepared_can_be_committed() {
        let table = table(vec![
            optional("a", DataType::Int64),
            optional(
                "p",
                DataType::Struct(vec![optional("x", DataType::Int32)].into()),
            ),
        ]);
        let more = DataType::Struct(
            vec![
                optional("y", DataType::Utf8),
                optional("x", DataType::Int32),
            ]
            .into(),
        );
        let data = vec![
            optional(
                "n",
                DataType::List(Arc::new(optional("item", DataType::Utf8))),
            ),
            optional("p", more),
            optional("m", DataType::Utf8),
        ];
        let wider = try_fit(&table, data, true, Stage::Prepare)
            .unwrap()
            .unwrap();
        let written = decode(&encode(&wider).unwrap(), Ids::Trusted).unwrap();
        let again = fit(
            &table,
            table.highest_field_id(),
            &written,
            true,
            Stage::Commit,
        );
        assert_eq!(again.unwrap().unwrap().as_struct(), wider.as_struct());
        let retried = fit(
            &wider,
            wider.highest_field_id(),
            &written,
            true,
            Stage::Commit,
        );
        assert_eq!(retried, Ok(None));
    }
}
