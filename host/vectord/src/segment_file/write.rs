//! Writing a segment's file.

use std::io::{self, Write};
use std::path::Path;

use bytemuck::Pod;

use super::{ALIGNMENT, Footer, GraphFooter, MAGIC, Section};
use crate::attributes::Attributes;
use crate::build::Built;
use crate::disk;
use crate::error::Result;
use crate::field::stride;
use crate::gathered::Gathered;
use crate::segment::{Sealed, Short};
use crate::types::Distance;

/// A vector this near to length one needs no scale.
const UNIT: f32 = 1e-6;

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
    match &sealed.short {
        Some(Short::Codes(coded)) => {
            sections.put("centre", &coded.quantizer.centre)?;
            sections.put("step", &coded.quantizer.step)?;
            sections.put("codes", &coded.codes)?;
            sections.put("bias", &coded.bias)?;
        }
        Some(Short::Halves(halves)) => {
            sections.put("halves", &halves.values)?;
            sections.put("halves-scale", &[halves.scale])?;
        }
        None => {}
    }
    Ok(GraphFooter {
        nodes: graph.nodes(),
        entry: graph.entry,
        width: graph.width,
        upper_width: graph.uppers.first().map_or(0, |upper| upper.width),
        uppers: graph.uppers.len(),
        coded: matches!(sealed.short, Some(Short::Codes(_))),
        halved: matches!(sealed.short, Some(Short::Halves(_))),
        hasty: sealed.hasty,
    })
}
