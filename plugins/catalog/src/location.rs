//! From the absolute locations inside Iceberg files to keys of the store.

/// Where a table's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// The table's folder as a key, without a trailing slash.
    pub key: String,
    /// The table's location as its metadata has it.
    pub location: String,
}

impl Folder {
    /// The key of a file of the table.
    ///
    /// The folder is found by where its pointer is and not by the location
    /// inside the files, so a store that was moved as a whole still works.
    /// None if the location is outside of the table's folder.
    pub fn key_of(&self, location: &str) -> Option<String> {
        let rest = location
            .strip_prefix(self.location.as_str())
            .and_then(|rest| rest.strip_prefix('/'))
            .or_else(|| {
                let marker = format!("/{}/", self.key);
                let at = location.rfind(&marker)?;
                location.get(at + marker.len()..)
            })?;
        let sound = rest
            .split('/')
            .all(|segment| !matches!(segment, "" | "." | "..") && !segment.contains('\0'));
        sound.then(|| format!("{}/{rest}", self.key))
    }

    /// The location of a file of the table.
    pub fn location_of(&self, key: &str) -> Option<String> {
        let rest = key.strip_prefix(self.key.as_str())?.strip_prefix('/')?;
        Some(format!("{}/{rest}", self.location))
    }
}

/// The table's folder, from the key of one of its metadata files.
pub fn folder_of_metadata(metadata_key: &str) -> Option<&str> {
    let (folder, _) = metadata_key.rsplit_once("/metadata/")?;
    (!folder.is_empty()).then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> Folder {
        Folder {
            key: "warehouse/ns/t".to_owned(),
            location: "file:///old/root/warehouse/ns/t".to_owned(),
        }
    }

    #[test]
    fn a_location_maps_to_its_key_and_back() {
        let location = "file:///old/root/warehouse/ns/t/data/a.parquet";
        let key = folder().key_of(location).unwrap();
        assert_eq!(key, "warehouse/ns/t/data/a.parquet");
        assert_eq!(folder().location_of(&key).unwrap(), location);
    }

    #[test]
    fn a_moved_store_still_maps() {
        let key = folder().key_of("s3://bucket/x/warehouse/ns/t/data/a.parquet");
        assert_eq!(key.unwrap(), "warehouse/ns/t/data/a.parquet");
    }

    #[test]
    fn nothing_outside_of_the_folder_maps() {
        for outside in [
            "file:///old/root/warehouse/ns/t2/data/a.parquet",
            "file:///old/root/warehouse/ns/t.1/data/a.parquet",
            "file:///old/root/warehouse/ns/t/../t2/data/a.parquet",
            "file:///old/root/warehouse/ns/t//a.parquet",
            "file:///old/root/warehouse/ns/t/",
            "file:///old/root/warehouse/ns/t",
            "/etc/passwd",
            "",
        ] {
            assert_eq!(folder().key_of(outside), None, "{outside}");
        }
        assert_eq!(folder().location_of("warehouse/ns/t2/data/a"), None);
    }

    #[test]
    fn a_metadata_file_names_its_folder() {
        let key = "warehouse/ns/t/metadata/00000-x.metadata.json";
        assert_eq!(folder_of_metadata(key), Some("warehouse/ns/t"));
        assert_eq!(folder_of_metadata("/metadata/x"), None);
        assert_eq!(folder_of_metadata("x.json"), None);
    }
}
