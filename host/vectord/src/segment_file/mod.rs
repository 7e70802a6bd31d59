//! A segment as a file, laid out to be searched where it is mapped.
//!
//! The file begins with [`MAGIC`], padded to [`ALIGNMENT`] bytes. Sections
//! follow, little-endian and each padded with zeros to a multiple of that
//! alignment. Then comes the footer: JSON that names the sections with their
//! place, length and CRC-32C (of the padding too); its length (u32) and
//! CRC-32C (u32); and the magic again.

mod read;
mod write;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::attributes::AttributesFooter;

pub(crate) use read::{Found, read};
pub(crate) use write::{Sections, write};

const MAGIC: &[u8; 8] = b"LHVSEG02";
/// Every section begins at a multiple of this many bytes: a cache line.
const ALIGNMENT: usize = 64;

/// What the sections hold.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Footer {
    dimension: usize,
    rows: usize,
    /// If the rows have a graph.
    graph: Option<GraphFooter>,
    /// What the metadata say; files written before there was such a thing
    /// have none.
    #[serde(default)]
    attributes: Option<AttributesFooter>,
    sections: Vec<Section>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GraphFooter {
    /// Rows that are nodes; the others share a node's vector.
    nodes: usize,
    entry: u32,
    width: usize,
    upper_width: usize,
    /// Layers above the lowest.
    uppers: usize,
    /// Whether the nodes have codes.
    coded: bool,
    /// Whether they have halves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    halved: bool,
    /// Whether it was built in haste.
    #[serde(default)]
    hasty: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    name: String,
    at: usize,
    /// Without padding.
    bytes: usize,
    crc32c: u32,
}

/// Where a segment's file is.
pub(crate) fn path(folder: &Path, id: u64) -> PathBuf {
    folder.join(format!("segment-{id}.bin"))
}

/// The number in a segment file's name.
pub(crate) fn number(name: &str) -> Option<u64> {
    let number = name.strip_prefix("segment-")?.strip_suffix(".bin")?;
    number.parse().ok()
}

#[cfg(test)]
mod tests;
