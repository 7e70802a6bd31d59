//! Which files a scan must read.

use std::cmp::Ordering;

use iceberg::spec::{Datum, ManifestContentType, ManifestFile, Schema, Transform};
use lakehouse_sdk::catalog_export::{ColumnStats, DataFile, Predicate, ScanPlan, Version};
use lakehouse_sdk::types::{Error, Literal};

use crate::files::{self, Caches};
use crate::names;
use crate::prune::Known;
use crate::stats;
use crate::store::Store;
use crate::table::Table;

/// Plans a scan. Predicates on columns that the version does not have rule
/// nothing out.
///
/// # Errors
/// [`Error::Unsupported`] if the table has delete files: their rows would come
/// back to life. Otherwise as reading the table's files.
pub fn plan(
    store: &impl Store,
    caches: &Caches,
    table: &Table,
    at: Version,
    predicates: &[Predicate],
) -> Result<ScanPlan, Error> {
    let snapshot = table.snapshot_at(at)?;
    let schema = table.schema_at(at, snapshot.map(AsRef::as_ref))?;
    let top = schema.as_struct().fields();
    let conditions: Vec<&Predicate> = predicates
        .iter()
        .filter(|predicate| top.iter().any(|field| field.id == predicate.field_id))
        .collect();
    let mut files_to_read = Vec::new();
    let mut pruned = 0;
    if let Some(snapshot) = snapshot {
        let list = files::manifest_list(store, caches, &table.folder, &table.metadata, snapshot)?;
        if list
            .iter()
            .any(|m| files::is_live(m, ManifestContentType::Deletes))
        {
            return Err(Error::Unsupported(format!(
                "table {} has delete files (merge-on-read); have its writer compact it first",
                names::display(&table.name)
            )));
        }
        for manifest in list.iter() {
            if !files::is_live(manifest, ManifestContentType::Data) {
                continue;
            }
            if !manifest_may_match(table, &schema, manifest, &conditions) {
                let count = |n: Option<u32>| u64::from(n.unwrap_or(0));
                pruned += count(manifest.added_files_count) + count(manifest.existing_files_count);
                continue;
            }
            let files = files::data_files(store, caches, &table.folder, manifest)?;
            for file in files.iter() {
                if file_may_match(file, &conditions) {
                    files_to_read.push(file.clone());
                } else {
                    pruned += 1;
                }
            }
        }
    }
    Ok(ScanPlan {
        table: table.info(store, caches, at)?,
        files: files_to_read,
        pruned,
    })
}

fn file_may_match(file: &DataFile, conditions: &[&Predicate]) -> bool {
    file.rows > 0
        && conditions.iter().all(|condition| {
            let by_id = |column: &ColumnStats| column.field_id;
            match file
                .columns
                .binary_search_by_key(&condition.field_id, by_id)
            {
                Ok(at) => Known::of_file(&file.columns[at], file.rows)
                    .may_match(condition.op, &condition.values),
                Err(_) => true,
            }
        })
}

/// Judges a manifest by the summaries of its identity partitions.
fn manifest_may_match(
    table: &Table,
    schema: &Schema,
    manifest: &ManifestFile,
    conditions: &[&Predicate],
) -> bool {
    let Some(summaries) = &manifest.partitions else {
        return true;
    };
    let Some(spec) = table
        .metadata
        .partition_spec_by_id(manifest.partition_spec_id)
    else {
        return true;
    };
    if spec.fields().len() != summaries.len() {
        return true;
    }
    spec.fields().iter().zip(summaries).all(|(field, summary)| {
        let kind = schema
            .field_by_id(field.source_id)
            .and_then(|source| source.field_type.as_primitive_type());
        let (Transform::Identity, Some(kind)) = (field.transform, kind) else {
            return true;
        };
        let bound = |bytes: Option<&[u8]>, towards| -> Option<Literal> {
            let datum = Datum::try_from_bytes(bytes?, kind.clone()).ok()?;
            stats::to_literal(&datum, towards)
        };
        let lower = bound(
            summary.lower_bound.as_deref().map(Vec::as_slice),
            Ordering::Less,
        );
        let upper = bound(
            summary.upper_bound.as_deref().map(Vec::as_slice),
            Ordering::Greater,
        );
        let known = Known {
            lower: lower.as_ref(),
            upper: upper.as_ref(),
            no_nulls: !summary.contains_null,
            all_nulls: false,
            no_nans: summary.contains_nan == Some(false),
        };
        conditions
            .iter()
            .filter(|condition| condition.field_id == field.source_id)
            .all(|c| known.may_match(c.op, &c.values))
    })
}
