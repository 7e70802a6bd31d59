//! Ids for files that carry none: Iceberg's table property
//! `schema.name-mapping.default`.

use serde::Deserialize;

/// The table property that holds a mapping.
pub(crate) const PROPERTY: &str = "schema.name-mapping.default";

/// What names the columns of one level may have in files, and their ids.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct NameMapping(Vec<MappedField>);

/// One column.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct MappedField {
    /// Its id; none where files have the name and the table never had the column.
    pub(crate) field_id: Option<i32>,
    names: Vec<String>,
    /// The columns inside of it.
    #[serde(default)]
    pub(crate) fields: NameMapping,
}

impl NameMapping {
    /// Reads the property's value.
    pub(crate) fn parse(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// What a column of this name in a file is.
    pub(crate) fn find(&self, name: &str) -> Option<&MappedField> {
        self.0
            .iter()
            .find(|field| field.names.iter().any(|other| other == name))
    }
}
