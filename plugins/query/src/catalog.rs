//! The catalog plugin's tables as the engine's catalog. Nothing is kept: every
//! look-up sees the newest state.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::TableType;
use lakehouse_sdk::catalog::{self, TableName, Version};
use lakehouse_sdk::types;

use crate::error::HostError;
use crate::table::LakehouseTable;
use crate::time_travel;

/// All namespaces.
#[derive(Debug)]
pub struct Lakehouse;

impl CatalogProvider for Lakehouse {
    fn schema_names(&self) -> Vec<String> {
        // Only `information_schema` asks, and has no way to take an error.
        catalog::list_namespaces().unwrap_or_default()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        // Whether it exists shows when a table in it is looked up.
        Some(Arc::new(Namespace {
            name: name.to_owned(),
        }))
    }
}

/// One namespace.
#[derive(Debug)]
struct Namespace {
    name: String,
}

impl Namespace {
    fn table_name(&self, name: &str) -> TableName {
        TableName {
            namespace: self.name.clone(),
            name: name.to_owned(),
        }
    }
}

#[async_trait]
impl SchemaProvider for Namespace {
    fn table_names(&self) -> Vec<String> {
        catalog::list_tables(Some(&self.name))
            .unwrap_or_default()
            .into_iter()
            .map(|table| table.name)
            .collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some((table, version)) = time_travel::split(name) else {
            return Ok(None);
        };
        match catalog::load_table(&self.table_name(table), version) {
            Ok(info) => Ok(Some(Arc::new(LakehouseTable::try_new(info)?))),
            // For the newest version the planner says that there is no such
            // table, or is about to make it.
            Err(types::Error::NotFound(_)) if version == Version::Current => Ok(None),
            Err(types::Error::NotFound(text)) => Err(DataFusionError::Plan(text)),
            // A name that no table can have names no table.
            Err(types::Error::Invalid(_)) => Ok(None),
            Err(error) => Err(HostError(error).into()),
        }
    }

    async fn table_type(&self, _name: &str) -> Result<Option<TableType>> {
        Ok(Some(TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        catalog::load_table(&self.table_name(name), Version::Current).is_ok()
    }
}
