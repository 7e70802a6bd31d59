//! A segment as a file: columns little-endian one after another, then the
//! graph, then the checksum of it all.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Buf;

use crate::disk;
use crate::error::{Error, Result};
use crate::graph::{Graph, Layer};
use crate::kernel;
use crate::segment::{Rows, Segment};
use crate::types::Distance;
use crate::validate::Space;

const MAGIC: &[u8; 8] = b"LHVSEG01";
/// Length that stands for metadata that are absent.
const ABSENT: u32 = u32::MAX;

/// Where a segment's file is.
pub(crate) fn path(folder: &Path, id: u64) -> PathBuf {
    folder.join(format!("segment-{id}.bin"))
}

/// Writes a segment durably; returns the file's length in bytes.
pub(crate) fn write(path: &Path, space: Space, rows: &Rows, graph: Option<&Graph>) -> Result<u64> {
    disk::write(path, |out| {
        out.write_all(MAGIC)?;
        put(out, [space.dimension as u32, rows.len() as u32])?;
        for id in &rows.ids {
            put(out, [id.len() as u32])?;
            out.write_all(id.as_bytes())?;
        }
        for metadata in &rows.metadata {
            let length = metadata.as_ref().map_or(ABSENT, |text| text.len() as u32);
            put(out, [length])?;
            out.write_all(metadata.as_deref().unwrap_or_default().as_bytes())?;
        }
        for vector in rows.vectors.chunks(space.dimension) {
            let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
            out.write_all(&bytes)?;
        }
        put(out, [graph.map_or(0, |graph| graph.layers.len() as u32)])?;
        if let Some(graph) = graph {
            put(out, [graph.entry])?;
            for layer in &graph.layers {
                for column in [&layer.nodes, &layer.offsets, &layer.links] {
                    put(out, [column.len() as u32])?;
                    put(out, column.iter().copied())?;
                }
            }
        }
        Ok(())
    })
}

fn put(out: &mut impl Write, values: impl IntoIterator<Item = u32>) -> io::Result<()> {
    values
        .into_iter()
        .try_for_each(|value| out.write_all(&value.to_le_bytes()))
}

/// Reads a segment and checks all of it.
pub(crate) fn read(path: &Path, id: u64, space: Space) -> Result<Segment> {
    let bytes = disk::read(path)?;
    let file_bytes = bytes.len() as u64 + 4;
    let (rows, graph) = parse(&bytes, space)
        .map_err(|why| Error::internal(format!("{} is damaged: {why}", path.display())))?;
    let mut segment = Segment::new(id, space, rows);
    segment.graph = graph;
    segment.file_bytes = Some(file_bytes);
    Ok(segment)
}

fn parse(mut bytes: &[u8], space: Space) -> Result<(Rows, Option<Graph>), String> {
    let input = &mut bytes;
    if take(input, MAGIC.len())? != MAGIC {
        return Err("not a segment of this version".into());
    }
    if number(input)? as usize != space.dimension {
        return Err("its dimension is not its index's".into());
    }
    let count = number(input)? as usize;
    let mut rows = Rows::default();
    for _ in 0..count {
        let length = number(input)?;
        rows.ids.push(text(input, length)?);
    }
    for _ in 0..count {
        rows.metadata.push(match number(input)? {
            ABSENT => None,
            length => Some(text(input, length)?),
        });
    }
    rows.vectors = floats(input, count.saturating_mul(space.dimension))?;
    if space.distance == Distance::Cosine {
        let vectors = rows.vectors.chunks_exact(space.dimension);
        rows.scales = vectors.map(|v| (1.0 / kernel::norm(v)) as f32).collect();
    }
    let graph = match number(input)? {
        0 => None,
        layers => Some(graph(input, layers, count)?),
    };
    if !input.is_empty() {
        return Err(format!("{} bytes too many", input.len()));
    }
    Ok((rows, graph))
}

fn graph(input: &mut &[u8], layers: u32, rows: usize) -> Result<Graph, String> {
    let entry = number(input)?;
    let mut graph = Graph {
        entry,
        layers: Vec::new(),
    };
    for _ in 0..layers {
        graph.layers.push(Layer {
            nodes: numbers(input)?,
            offsets: numbers(input)?,
            links: numbers(input)?,
        });
    }
    graph.check(rows)?;
    Ok(graph)
}

fn take<'a>(input: &mut &'a [u8], length: usize) -> Result<&'a [u8], String> {
    input
        .split_off(..length)
        .ok_or_else(|| "it ends too early".to_owned())
}

fn number(input: &mut &[u8]) -> Result<u32, String> {
    input.try_get_u32_le().map_err(|e| e.to_string())
}

fn numbers(input: &mut &[u8]) -> Result<Vec<u32>, String> {
    let count = number(input)? as usize;
    let (words, _) = take(input, count.saturating_mul(4))?.as_chunks::<4>();
    Ok(words.iter().map(|word| u32::from_le_bytes(*word)).collect())
}

fn floats(input: &mut &[u8], count: usize) -> Result<Vec<f32>, String> {
    let (words, _) = take(input, count.saturating_mul(4))?.as_chunks::<4>();
    Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
}

fn text(input: &mut &[u8], length: u32) -> Result<Arc<str>, String> {
    let bytes = take(input, length as usize)?;
    let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use proptest::prelude::*;

    use super::*;
    use crate::build;
    use crate::segment::Probe;
    use crate::validate::Spec;

    const SPACE: Space = Space {
        dimension: 2,
        distance: Distance::Cosine,
    };

    /// A segment's file without its checksum, and what it was made of.
    fn sample() -> (Vec<u8>, Rows, Graph) {
        let spec = Spec {
            name: "x".into(),
            space: SPACE,
            m: 4,
            ef_construction: 16,
        };
        let mut rows = Rows::default();
        for i in 0..40_u8 {
            let vector = [f32::from(i) + 1.0, (f32::from(i) * 0.7).sin()];
            let metadata = (i % 3 == 0).then(|| format!("{{\"i\":{i}}}").into());
            rows.push(SPACE, format!("i-{i}").into(), &vector, metadata);
        }
        let graph = build::build(&spec, &rows, &AtomicBool::new(false));
        let graph = graph.unwrap().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = path(folder.path(), 1);
        write(&file, SPACE, &rows, Some(&graph)).unwrap();
        (disk::read(&file).unwrap(), rows, graph)
    }

    #[test]
    fn a_segment_comes_back() {
        let (bytes, rows, graph) = sample();
        let (found, found_graph) = parse(&bytes, SPACE).unwrap();
        assert_eq!(found.ids, rows.ids);
        assert_eq!(found.metadata, rows.metadata);
        assert_eq!(found.vectors, rows.vectors);
        assert_eq!(found.scales, rows.scales);
        assert_eq!(found_graph, Some(graph));
    }

    /// Even if the checksum were to match.
    #[test]
    fn no_content_makes_it_panic() {
        let (bytes, ..) = sample();
        let change = (0..bytes.len(), any::<u8>(), 0..bytes.len());
        proptest!(|((at, byte, cut) in change)| {
            let _ = parse(&bytes[..cut], SPACE);
            let mut changed = bytes.clone();
            changed[at] = byte;
            if let Ok((rows, graph)) = parse(&changed, SPACE) {
                let mut segment = Segment::new(1, SPACE, rows);
                segment.graph = graph;
                segment.search(&Probe::new(SPACE.distance, &[1.0, 2.0]), 5, 8, 0, None);
            }
        });
    }
}
