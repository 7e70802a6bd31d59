//! Segments come back from their files, and damage is seen.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;
use serde_json::json;

use super::read::footer;
use super::*;
use crate::build::{self, Haste};
use crate::builders::Halt;
use crate::filter::Filter;
use crate::gathered::Gathered;
use crate::rows::Rows;
use crate::search::Probe;
use crate::segment::{Segment, Short};
use crate::segment_file_1;
use crate::types::{Distance, Engine, Quantization};
use crate::validate::{Space, Spec};

fn space(distance: Distance) -> Space {
    Space {
        dimension: 3,
        distance,
    }
}

fn rows(space: Space) -> Rows {
    let mut rows = Rows::default();
    for i in 0..60_u8 {
        // Some of the vectors are equal.
        let angle = f32::from(i % 50);
        let vector = [
            (angle * 1.3).sin(),
            (angle * 2.1).cos(),
            (angle * 0.7).sin(),
        ];
        let metadata = (i % 3 == 0).then(|| format!("{{\"ü\":{i},\"t\":\"t{i}\"}}").into());
        rows.push(space, format!("i-{i}").into(), &vector, metadata);
    }
    rows
}

/// Writes a segment of some rows; returns which row is at each place.
fn write_rows(file: &Path, space: Space, quantization: Quantization, rows: Rows) -> Vec<u32> {
    let spec = Spec {
        name: "x".into(),
        space,
        m: 4,
        ef_construction: 16,
        quantization,
    };
    let inputs = [Arc::new(Segment::new(1, space, rows))];
    let gathered = Gathered::new(space, &inputs, 0);
    let built = build::build(
        &spec,
        Engine::Own,
        &gathered,
        Haste::None,
        &Halt::at(&AtomicBool::new(false)),
    );
    let built = built.unwrap().unwrap();
    write(file, &gathered, Some(&built)).unwrap();
    built.order
}

#[test]
fn a_segment_comes_back() {
    for (distance, quantization) in [
        (Distance::Cosine, Quantization::Int8),
        (Distance::L2, Quantization::Int8),
        (Distance::L2, Quantization::F16),
        (Distance::Dot, Quantization::F16),
    ] {
        let space = space(distance);
        let folder = tempfile::tempdir().unwrap();
        let file = path(folder.path(), 2);
        let order = write_rows(&file, space, quantization, rows(space));
        let found = read(&file, 2, space).unwrap();
        let wanted = rows(space);
        assert_eq!(found.len(), wanted.len());
        for (place, row) in order.iter().enumerate() {
            let row = *row as usize;
            assert_eq!(found.rows.id(place), wanted.id(row));
            assert_eq!(found.rows.metadata.get(place), wanted.metadata.get(row));
            assert_eq!(found.vector(place), wanted.vector(space, row));
            assert_eq!(found.rows.scale(place), wanted.scale(row));
            let hash = crate::rows::IdHash::of(wanted.id(row));
            assert_eq!(found.find(wanted.id(row), hash, 0), Some(place));
        }
        let sealed = found.sealed.as_ref().unwrap();
        assert_eq!((sealed.graph.nodes(), sealed.twins.len()), (50, 10));
        let short = match sealed.short.as_ref().unwrap() {
            Short::Codes(_) => Quantization::Int8,
            Short::Halves(_) => Quantization::F16,
        };
        assert_eq!(short, quantization);
        let filter = Filter::parse(&json!({"ü": {"$lt": 9}})).unwrap();
        let judged = found.attributes.get().unwrap().judge(&filter);
        let matches = order.iter().map(|row| row % 3 == 0 && *row < 9);
        let matches: Vec<_> = (0..)
            .zip(matches)
            .filter(|(_, m)| *m)
            .map(|(row, _)| row)
            .collect();
        assert_eq!(judged.must.iter().collect::<Vec<_>>(), matches);
        assert!(judged.may.is_none());
        assert!(!found.stale);
    }
}

/// Changes of a bit and cuts all over the file are seen.
#[test]
fn damage_is_named() {
    let space = space(Distance::L2);
    let folder = tempfile::tempdir().unwrap();
    let file = path(folder.path(), 2);
    write_rows(&file, space, Quantization::Int8, rows(space));
    let whole = fs::read(&file).unwrap();
    for at in (0..whole.len()).step_by(17) {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(&file, &changed).unwrap();
        let error = read(&file, 2, space).unwrap_err().to_string();
        assert!(error.contains("segment-2.bin is damaged"), "{at}: {error}");
    }
    for length in (0..whole.len()).step_by(97) {
        fs::write(&file, &whole[..length]).unwrap();
        assert!(read(&file, 2, space).is_err(), "{length} bytes");
    }
}

/// Even if the checksums were to match.
#[test]
fn no_content_makes_it_panic() {
    for quantization in [Quantization::Int8, Quantization::F16] {
        change_content(quantization);
    }
}

fn change_content(quantization: Quantization) {
    let space = space(Distance::L2);
    let folder = tempfile::tempdir().unwrap();
    let file = path(folder.path(), 2);
    write_rows(&file, space, quantization, rows(space));
    let whole = fs::read(&file).unwrap();
    let known = footer(&whole).unwrap();
    let filter = json!({"ü": {"$gte": 3, "$lt": 30}, "t": {"$prefix": "t1", "$gt": "t10"}});
    let filter = Filter::parse(&filter).unwrap();
    let names: Vec<String> = known.sections.into_iter().map(|s| s.name).collect();
    let change = (0..names.len(), 0..10_000_usize, any::<u32>());
    proptest!(|((section, at, value) in change)| {
        let mut changed = whole.clone();
        let mut footer = footer(&changed).unwrap();
        let section = &mut footer.sections[section];
        prop_assume!(section.bytes >= 4);
        let at = section.at + at % (section.bytes / 4) * 4;
        changed[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let padded = section.bytes.next_multiple_of(ALIGNMENT);
        section.crc32c = crc32c::crc32c(&changed[section.at..section.at + padded]);
        let end = footer.sections.last().map_or(0, |last| last.at + last.bytes);
        changed.truncate(end.next_multiple_of(ALIGNMENT));
        let json = serde_json::to_vec(&footer).unwrap();
        changed.extend_from_slice(&json);
        changed.extend_from_slice(&(json.len() as u32).to_le_bytes());
        changed.extend_from_slice(&crc32c::crc32c(&json).to_le_bytes());
        changed.extend_from_slice(MAGIC);
        fs::write(&file, &changed).unwrap();
        if let Ok(segment) = read(&file, 2, space) {
            let probe = Probe::new(space.distance, &[1.0, 2.0, 0.5], 3, 0);
            segment.search(&probe, 4, None);
            segment.search(&probe, 4, Some(&filter));
        }
    });
}

#[test]
fn rows_of_the_first_version_are_read() {
    let space = space(Distance::Cosine);
    let wanted = rows(space);
    let mut bytes = segment_file_1::MAGIC.to_vec();
    let put = |bytes: &mut Vec<u8>, text: &str| {
        bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    };
    for number in [3, wanted.len() as u32] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for row in 0..wanted.len() {
        put(&mut bytes, wanted.id(row));
    }
    for row in 0..wanted.len() {
        match wanted.metadata.get(row) {
            Some(text) => put(&mut bytes, text),
            None => bytes.extend_from_slice(&u32::MAX.to_le_bytes()),
        }
    }
    for row in 0..wanted.len() {
        bytes.extend_from_slice(bytemuck::cast_slice(wanted.vector(space, row)));
    }
    // No graph.
    bytes.extend_from_slice(&0_u32.to_le_bytes());
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    let folder = tempfile::tempdir().unwrap();
    let file = path(folder.path(), 7);
    fs::write(&file, &bytes).unwrap();
    let found = read(&file, 7, space).unwrap();
    assert!(found.stale);
    for row in 0..wanted.len() {
        assert_eq!(found.rows.id(row), wanted.id(row));
        assert_eq!(found.rows.metadata.get(row), wanted.metadata.get(row));
        assert_eq!(found.vector(row), wanted.vector(space, row));
    }
    bytes[100] ^= 1;
    fs::write(&file, &bytes).unwrap();
    assert!(read(&file, 7, space).is_err());
}
