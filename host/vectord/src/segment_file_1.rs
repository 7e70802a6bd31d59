//! Segment files of the first version: columns one after another, then a
//! graph, then the CRC-32C of it all. Their rows are read; the graph, laid out
//! to be read as a whole, is left, and built anew in the background.

use std::sync::Arc;

use bytes::Buf;

use crate::rows::Rows;
use crate::validate::Space;

pub(crate) const MAGIC: &[u8; 8] = b"LHVSEG01";
/// Length that stands for metadata that are absent.
const ABSENT: u32 = u32::MAX;

/// Reads the rows.
pub(crate) fn read(bytes: &[u8], space: Space) -> Result<Rows, String> {
    let (content, crc) = bytes.split_last_chunk::<4>().ok_or("it ends too early")?;
    if crc32c::crc32c(content).to_le_bytes() != *crc {
        return Err("bad checksum".into());
    }
    parse(content, space)
}

fn parse(mut bytes: &[u8], space: Space) -> Result<Rows, String> {
    let input = &mut bytes;
    take(input, MAGIC.len())?;
    if number(input)? as usize != space.dimension {
        return Err("its dimension is not its index's".into());
    }
    let count = number(input)? as usize;
    let mut ids = Vec::new();
    for _ in 0..count {
        let length = number(input)?;
        ids.push(text(input, length)?);
    }
    let mut metadata = Vec::new();
    for _ in 0..count {
        metadata.push(match number(input)? {
            ABSENT => None,
            length => Some(text(input, length)?),
        });
    }
    let mut rows = Rows::default();
    for (id, metadata) in ids.into_iter().zip(metadata) {
        let (words, _) = take(input, space.dimension * 4)?.as_chunks::<4>();
        let vector: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        rows.push(space, id, &vector, metadata);
    }
    Ok(rows)
}

fn take<'a>(input: &mut &'a [u8], length: usize) -> Result<&'a [u8], String> {
    input
        .split_off(..length)
        .ok_or_else(|| "it ends too early".to_owned())
}

fn number(input: &mut &[u8]) -> Result<u32, String> {
    input.try_get_u32_le().map_err(|e| e.to_string())
}

fn text(input: &mut &[u8], length: u32) -> Result<Arc<str>, String> {
    let bytes = take(input, length as usize)?;
    let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
    Ok(text.into())
}
