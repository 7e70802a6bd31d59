//! What an index consists of: its parameters, its segment files and where its
//! log begins. Replaced as a whole.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::disk;
use crate::error::{Error, Result};
use crate::types::{Distance, Quantization, Source};
use crate::validate::{Space, Spec};

/// Version 1 had no quantization.
const VERSION: u32 = 2;
const OLDEST: u32 = 1;
/// The file's name.
pub(crate) const NAME: &str = "manifest.json";

/// The manifest's content.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    version: u32,
    pub name: String,
    dimension: usize,
    distance: Distance,
    m: usize,
    ef_construction: usize,
    #[serde(default)]
    quantization: Quantization,
    /// Last write whose effects the segment files hold; later ones are in the
    /// log.
    pub applied: u64,
    /// A write up to which all were acknowledged and flushed when this was
    /// written: at each sealing, and when the index was closed. A log that
    /// ends before it is damaged.
    #[serde(default)]
    pub acknowledged: u64,
    /// First log file to replay.
    pub log: u64,
    /// Id of the next segment.
    pub next_segment: u64,
    pub segments: Vec<SegmentEntry>,
    /// The query that the index was last filled from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// One segment file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SegmentEntry {
    pub id: u64,
    /// Rows that had died by `applied`, rising.
    pub dead: Vec<u32>,
}

impl Manifest {
    pub fn new(spec: &Spec) -> Self {
        Self {
            version: VERSION,
            name: spec.name.clone(),
            dimension: spec.space.dimension,
            distance: spec.space.distance,
            m: spec.m,
            ef_construction: spec.ef_construction,
            quantization: spec.quantization,
            applied: 0,
            acknowledged: 0,
            log: 0,
            next_segment: 1,
            segments: Vec::new(),
            source: None,
        }
    }

    pub fn spec(&self) -> Spec {
        Spec {
            name: self.name.clone(),
            space: Space {
                dimension: self.dimension,
                distance: self.distance,
            },
            m: self.m,
            ef_construction: self.ef_construction,
            quantization: self.quantization,
        }
    }

    pub fn write(&self, folder: &Path) -> Result<()> {
        let json = serde_json::to_vec(self).map_err(|e| Error::internal(e.to_string()))?;
        disk::write(&path(folder), &json)
    }

    pub fn read(folder: &Path) -> Result<Self> {
        let path = path(folder);
        let damaged =
            |why: String| Error::internal(format!("{} is damaged: {why}", path.display()));
        let manifest: Self =
            serde_json::from_slice(&disk::read(&path)?).map_err(|e| damaged(e.to_string()))?;
        if !(OLDEST..=VERSION).contains(&manifest.version) {
            return Err(Error::internal(format!(
                "{} has version {}, this build reads {OLDEST} to {VERSION}",
                path.display(),
                manifest.version
            )));
        }
        Ok(manifest)
    }
}

/// Where an index's manifest is.
pub(crate) fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}
