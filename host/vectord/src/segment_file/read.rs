//! Reading a segment's file.

use std::path::Path;
use std::sync::Arc;

use bytemuck::Pod;

use super::{ALIGNMENT, Footer, GraphFooter, MAGIC, Section};
use crate::attributes::Attributes;
use crate::column::Column;
use crate::error::{Error, Result};
use crate::field::stride;
use crate::graph::{Graph, Upper};
use crate::halves::Halves;
use crate::mapping::Mapping;
use crate::quantizer::Quantizer;
use crate::rows::{Rows, Texts};
use crate::segment::{Coded, Sealed, Segment, Short};
use crate::segment_file_1;
use crate::types::Distance;
use crate::validate::Space;
use crate::walk::{MAX_ROWS, NONE};

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

pub(super) fn footer(bytes: &[u8]) -> Result<Footer, String> {
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
    let short = if footer.coded {
        Some(Short::Codes(coded(found, nodes, space)?))
    } else if footer.halved {
        Some(Short::Halves(halves(found, nodes, space)?))
    } else {
        None
    };
    Ok(Sealed {
        graph,
        twins,
        short,
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

fn halves(found: &Found<'_>, nodes: usize, space: Space) -> Result<Halves, String> {
    Ok(Halves {
        values: found.column("halves", nodes * stride(space.dimension))?,
        scale: found.column::<f32>("halves-scale", 1)?[0],
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
