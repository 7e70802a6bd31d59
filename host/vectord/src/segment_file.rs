//! A segment as a file, laid out to be searched where it is mapped.
//!
//! The file begins with [`MAGIC`], padded to [`ALIGNMENT`] bytes. Sections
//! follow, little-endian and each padded with zeros to a multiple of that
//! alignment. Then comes the footer: JSON that names the sections with their
//! place, length and CRC-32C (of the padding too); its length (u32) and
//! CRC-32C (u32); and the magic again.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytemuck::Pod;
use serde::{Deserialize, Serialize};

use crate::attributes::{Attributes, AttributesFooter};
use crate::build::Built;
use crate::column::Column;
use crate::disk;
use crate::error::{Error, Result};
use crate::field::stride;
use crate::gathered::Gathered;
use crate::graph::{Graph, Upper};
use crate::mapping::Mapping;
use crate::quantizer::Quantizer;
use crate::rows::{Rows, Texts};
use crate::segment::{Coded, Sealed, Segment};
use crate::segment_file_1;
use crate::types::Distance;
use crate::validate::Space;
use crate::walk::{MAX_ROWS, NONE};

const MAGIC: &[u8; 8] = b"LHVSEG02";
/// Every section begins at a multiple of this many bytes: a cache line.
const ALIGNMENT: usize = 64;
/// A vector this near to length one needs no scale.
const UNIT: f32 = 1e-6;

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

/// Writes sections one after another and notes where they are.
pub(crate) struct Sections<'a, W> {
    out: &'a mut W,
    at: usize,
    noted: Vec<Section>,
}

impl<W: Write> Sections<'_, W> {
    pub fn put<T: Pod>(&mut self, name: &str, values: &[T]) -> io::Result<()> {
        self.put_parts(name, std::iter::once(values))
    }

    fn put_parts<'v, T: Pod>(
        &mut self,
        name: &str,
        parts: impl Iterator<Item = &'v [T]>,
    ) -> io::Result<()> {
        let (mut bytes, mut crc) = (0, 0);
        for part in parts {
            let part: &[u8] = bytemuck::cast_slice(part);
            self.out.write_all(part)?;
            crc = crc32c::crc32c_append(crc, part);
            bytes += part.len();
        }
        let padding = &[0; ALIGNMENT][..bytes.next_multiple_of(ALIGNMENT) - bytes];
        self.out.write_all(padding)?;
        self.noted.push(Section {
            name: name.to_owned(),
            at: self.at,
            bytes,
            crc32c: crc32c::crc32c_append(crc, padding),
        });
        self.at += bytes + padding.len();
        Ok(())
    }
}

/// Writes a segment durably, its rows in the order that `built` gives them,
/// or as gathered.
pub(crate) fn write(path: &Path, rows: &Gathered<'_>, built: Option<&Built>) -> Result<()> {
    let plain: Vec<u32>;
    let order = match built {
        Some(built) => &built.order,
        None => {
            plain = (0..rows.len() as u32).collect();
            &plain
        }
    };
    disk::replace(path, |out| {
        out.write_all(MAGIC)?;
        out.write_all(&[0; ALIGNMENT - MAGIC.len()])?;
        let mut sections = Sections {
            out: &mut *out,
            at: ALIGNMENT,
            noted: Vec::new(),
        };
        put_rows(&mut sections, rows, order)?;
        let graph = match built {
            Some(built) => Some(put_sealed(&mut sections, &built.sealed)?),
            None => None,
        };
        let metadata = order.iter().map(|row| rows.metadata(*row as usize));
        let attributes = Attributes::build(metadata).put(&mut sections)?;
        let footer = Footer {
            dimension: rows.space.dimension,
            rows: rows.len(),
            graph,
            attributes: Some(attributes),
            sections: sections.noted,
        };
        let json = serde_json::to_vec(&footer)?;
        out.write_all(&json)?;
        out.write_all(&(json.len() as u32).to_le_bytes())?;
        out.write_all(&crc32c::crc32c(&json).to_le_bytes())?;
        out.write_all(MAGIC)
    })
}

fn put_rows<W: Write>(
    sections: &mut Sections<'_, W>,
    rows: &Gathered<'_>,
    order: &[u32],
) -> io::Result<()> {
    let stride = stride(rows.space.dimension);
    let zeros = vec![0.0_f32; stride - rows.space.dimension];
    let vectors = order
        .iter()
        .flat_map(|row| [rows.vector(*row as usize), &zeros]);
    sections.put_parts("vectors", vectors)?;
    if rows.space.distance == Distance::Cosine {
        let scales: Vec<f32> = order.iter().map(|row| rows.scale(*row as usize)).collect();
        if scales.iter().any(|scale| (scale - 1.0).abs() > UNIT) {
            sections.put("scales", &scales)?;
        }
    }
    let ids = order.iter().map(|row| rows.id(*row as usize));
    put_texts(sections, ["id-ends", "ids"], ids)?;
    let metadata = order.iter().map(|row| rows.metadata(*row as usize));
    let metadata = metadata.map(Option::unwrap_or_default);
    put_texts(sections, ["metadata-ends", "metadata"], metadata)
}

fn put_texts<'a, W: Write>(
    sections: &mut Sections<'_, W>,
    [ends_name, name]: [&str; 2],
    texts: impl Iterator<Item = &'a str> + Clone,
) -> io::Result<()> {
    let ends = texts.clone().scan(0, |end, text| {
        *end += text.len() as u64;
        Some(*end)
    });
    sections.put(ends_name, &ends.collect::<Vec<u64>>())?;
    sections.put_parts(name, texts.map(str::as_bytes))
}

fn put_sealed<W: Write>(
    sections: &mut Sections<'_, W>,
    sealed: &Sealed,
) -> io::Result<GraphFooter> {
    let graph = &sealed.graph;
    sections.put("links", &graph.base)?;
    for (level, upper) in (1..).zip(&graph.uppers) {
        sections.put(&format!("rows-{level}"), &upper.rows)?;
        sections.put(&format!("down-{level}"), &upper.down)?;
        sections.put(&format!("links-{level}"), &upper.links)?;
    }
    sections.put("twins", &sealed.twins)?;
    if let Some(coded) = &sealed.coded {
        sections.put("centre", &coded.quantizer.centre)?;
        sections.put("step", &coded.quantizer.step)?;
        sections.put("codes", &coded.codes)?;
        sections.put("bias", &coded.bias)?;
    }
    Ok(GraphFooter {
        nodes: graph.nodes(),
        entry: graph.entry,
        width: graph.width,
        upper_width: graph.uppers.first().map_or(0, |upper| upper.width),
        uppers: graph.uppers.len(),
        coded: sealed.coded.is_some(),
        hasty: sealed.hasty,
    })
}

/// Maps a segment and checks all of it.
pub(crate) fn read(path: &Path, id: u64, space: Space) -> Result<Segment> {
    let mapping = Arc::new(Mapping::open(path)?);
    let damaged = |why| Error::internal(format!("{} is damaged: {why}", path.display()));
    let mut segment = if mapping.starts_with(segment_file_1::MAGIC) {
        let rows = segment_file_1::read(&mapping, space).map_err(damaged)?;
        let mut segment = Segment::new(id, space, rows);
        segment.stale = true;
        segment
    } else {
        parse(&mapping, id, space).map_err(damaged)?
    };
    segment.file_bytes = Some(mapping.len() as u64);
    Ok(segment)
}

/// Finds sections of a mapped file.
pub(crate) struct Found<'a> {
    mapping: &'a Arc<Mapping>,
    sections: Vec<Section>,
}

impl Found<'_> {
    pub fn column<T: Pod>(&self, name: &str, length: usize) -> Result<Column<T>, String> {
        let column = self.any_length::<T>(name)?;
        if column.len() != length {
            return Err(format!("{} values in {name}, not {length}", column.len()));
        }
        Ok(column)
    }

    pub fn any_length<T: Pod>(&self, name: &str) -> Result<Column<T>, String> {
        let section = self.sections.iter().find(|section| section.name == name);
        let Section { at, bytes, .. } = section.ok_or_else(|| format!("it has no {name}"))?;
        Column::mapped(self.mapping, *at..at + bytes).map_err(|why| format!("{name}: {why}"))
    }

    fn has(&self, name: &str) -> bool {
        self.sections.iter().any(|section| section.name == name)
    }
}

fn parse(mapping: &Arc<Mapping>, id: u64, space: Space) -> Result<Segment, String> {
    let footer = footer(mapping)?;
    if footer.dimension != space.dimension {
        return Err("its dimension is not its index's".into());
    }
    let count = footer.rows;
    if count >= MAX_ROWS {
        return Err(format!("{count} rows"));
    }
    check_sections(mapping, &footer.sections)?;
    let found = Found {
        mapping,
        sections: footer.sections,
    };
    let vectors = found.column("vectors", count * stride(space.dimension))?;
    let scales = match found.has("scales") {
        true => found.column("scales", count)?,
        false => Column::default(),
    };
    let ids = Texts::mapped(found.column("id-ends", count)?, found.any_length("ids")?)?;
    if let Some(row) = (0..count).find(|row| ids.get(*row).is_none()) {
        return Err(format!("row {row} has no id"));
    }
    let metadata = Texts::mapped(
        found.column("metadata-ends", count)?,
        found.any_length("metadata")?,
    )?;
    let sealed = match &footer.graph {
        Some(graph) => Some(sealed(&found, graph, count, space)?),
        None => None,
    };
    let rows = Rows::mapped(ids, metadata, vectors, scales);
    let mut segment = Segment::new(id, space, rows);
    segment.sealed = sealed;
    if let Some(footer) = footer.attributes {
        segment.attributes = Attributes::read(&found, footer, count)?.into();
    }
    Ok(segment)
}

fn footer(bytes: &[u8]) -> Result<Footer, String> {
    let begins = bytes.starts_with(MAGIC);
    let rest = bytes.strip_suffix(MAGIC).filter(|_| begins);
    let rest = rest.ok_or("it does not begin and end as a segment of this version does")?;
    let (rest, crc) = rest.split_last_chunk::<4>().ok_or("it ends too early")?;
    let (rest, length) = rest.split_last_chunk::<4>().ok_or("it ends too early")?;
    let start = rest.len().checked_sub(u32::from_le_bytes(*length) as usize);
    let (start, json) = start
        .and_then(|start| Some((start, rest.get(start..)?)))
        .ok_or("its footer is longer than it is")?;
    if crc32c::crc32c(json).to_le_bytes() != *crc {
        return Err("bad checksum of its footer".into());
    }
    let footer: Footer = serde_json::from_slice(json).map_err(|e| format!("its footer: {e}"))?;
    let end = footer.sections.iter().try_fold(ALIGNMENT, |at, section| {
        let end = section.at.checked_add(section.bytes)?;
        (section.at == at).then(|| end.next_multiple_of(ALIGNMENT))
    });
    if end != Some(start) || bytes[MAGIC.len()..ALIGNMENT].iter().any(|byte| *byte != 0) {
        return Err("its sections do not fill it".into());
    }
    Ok(footer)
}

fn check_sections(bytes: &[u8], sections: &[Section]) -> Result<(), String> {
    use rayon::prelude::*;
    sections.par_iter().try_for_each(|section| {
        let padded = section.bytes.next_multiple_of(ALIGNMENT);
        let found = bytes.get(section.at..section.at + padded);
        if found.map(crc32c::crc32c) != Some(section.crc32c) {
            return Err(format!("bad checksum of its {}", section.name));
        }
        Ok(())
    })
}

fn sealed(
    found: &Found<'_>,
    footer: &GraphFooter,
    rows: usize,
    space: Space,
) -> Result<Sealed, String> {
    let GraphFooter { nodes, width, .. } = *footer;
    if nodes == 0 || nodes > rows || width == 0 {
        return Err(format!("a graph of {nodes} nodes, {width} links each"));
    }
    let links = nodes.checked_mul(width).ok_or("too many links")?;
    let mut graph = Graph {
        entry: footer.entry,
        width,
        base: found.column("links", links)?,
        uppers: Vec::new(),
    };
    for level in 1..=footer.uppers {
        let rows: Column<u32> = found.any_length(&format!("rows-{level}"))?;
        let count = rows.len();
        let width = footer.upper_width;
        graph.uppers.push(Upper {
            width,
            down: found.column(&format!("down-{level}"), count)?,
            links: found.column(&format!("links-{level}"), count.saturating_mul(width))?,
            rows,
        });
    }
    check_graph(&graph)?;
    let twins: Column<u32> = found.column("twins", rows - nodes)?;
    if !twins.is_sorted() || twins.last().is_some_and(|node| *node as usize >= nodes) {
        return Err("rows share the vector of no node".into());
    }
    let coded = match footer.coded {
        true => Some(coded(found, nodes, space)?),
        false => None,
    };
    Ok(Sealed {
        graph,
        twins,
        coded,
        hasty: footer.hasty,
    })
}

fn coded(found: &Found<'_>, nodes: usize, space: Space) -> Result<Coded, String> {
    let quantizer = Quantizer {
        centre: found.column::<f32>("centre", space.dimension)?.to_vec(),
        step: found.column::<f32>("step", space.dimension)?.to_vec(),
    };
    let biased = if space.distance == Distance::L2 {
        nodes
    } else {
        0
    };
    Ok(Coded {
        codes: found.column("codes", nodes * quantizer.stride())?,
        bias: found.column("bias", biased)?,
        quantizer,
    })
}

/// Whether every link leads somewhere.
fn check_graph(graph: &Graph) -> Result<(), String> {
    let nodes = graph.nodes();
    let mut below = nodes;
    for (level, upper) in (1..).zip(&graph.uppers) {
        let places = upper.rows.len();
        let sound = within(&upper.rows, nodes)
            && within(&upper.down, below)
            && upper
                .links
                .iter()
                .all(|to| *to == NONE || (*to as usize) < places)
            && upper.width <= 256
            && upper.width > 0;
        if !sound {
            return Err(format!("layer {level} of its graph makes no sense"));
        }
        below = places;
    }
    let sound = graph
        .base
        .iter()
        .all(|to| *to == NONE || (*to as usize) < nodes);
    if !sound || graph.entry as usize >= below {
        return Err("its graph makes no sense".into());
    }
    Ok(())
}

fn within(values: &[u32], end: usize) -> bool {
    values.iter().all(|value| (*value as usize) < end)
}

#[cfg(test)]
mod tests;
