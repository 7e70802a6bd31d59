//! What is returned.

use std::sync::Arc;

use lakehouse_sdk::arrow::array::{
    ArrayRef, AsArray, BinaryArray, Int64Array, RecordBatch, StringArray,
};
use lakehouse_sdk::arrow::datatypes::Int64Type;
use lakehouse_sdk::ipc;
use lakehouse_sdk::types::Error;

use crate::encode;

pub(crate) fn scalar(name: &str, rows: &RecordBatch) -> Result<Vec<u8>, Error> {
    let column = Arc::clone(rows.column(0));
    let length = rows.num_rows();
    match name {
        "same" => encode(column),
        "abs" => encode(integers(length, 42)),
        "lie_rows" => encode(column.slice(0, length - 1)),
        "lie_type" => texts(length),
        "lie_columns" => {
            let columns = [("a", Arc::clone(&column)), ("b", column)];
            Ok(ipc::encode(&RecordBatch::try_from_iter(columns)?)?)
        }
        "lie_offsets" => {
            // The second offset points far beyond the text.
            let honest = texts(length.max(4))?;
            Ok(patched(
                honest,
                &[1, 0, 0, 0, 2, 0, 0, 0],
                &[0xff, 0xff, 0xff, 0x7f],
            ))
        }
        "lie_utf8" => Ok(patched(texts(length.max(4))?, b"aaaa", &[0xff])),
        "lie_nothing" => Ok(Vec::new()),
        "lie_cut" => {
            let honest = encode(column)?;
            Ok(honest[..honest.len() / 2].to_vec())
        }
        "lie_noise" => Ok(noise()),
        "lie_huge" => Ok([0xffff_ffff_u32, 0x7fff_fff0]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect()),
        "lie_flip" => {
            // Honest, but for one bit: the value says which.
            let bit = column.as_primitive::<Int64Type>().value(0) as usize;
            let mut bytes = encode(integers(length, 7))?;
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            Ok(bytes)
        }
        "lie_panic" => panic!("a function that panics"),
        "lie_spin" => loop {
            std::hint::spin_loop();
        },
        other => Err(Error::NotFound(format!("there is no function `{other}`"))),
    }
}

/// States that are too few, or of another type, or honest.
pub(crate) fn states(name: &str, states: &RecordBatch) -> Result<Vec<u8>, Error> {
    let length = states.num_rows();
    match name {
        "lie_states" => encode(binaries(length - 1)),
        "lie_state_type" => encode(integers(length, 1)),
        _ => encode(binaries(length)),
    }
}

/// Bytes without a meaning.
pub(crate) fn noise() -> Vec<u8> {
    (0_u32..1000)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

/// As many texts, each `a`.
pub(crate) fn texts(length: usize) -> Result<Vec<u8>, Error> {
    encode(Arc::new(StringArray::from(vec!["a"; length])))
}

fn integers(length: usize, value: i64) -> ArrayRef {
    Arc::new(Int64Array::from(vec![value; length]))
}

fn binaries(length: usize) -> ArrayRef {
    Arc::new(BinaryArray::from_iter_values(vec![b"state"; length]))
}

/// `bytes` with `by` over the last place where `what` stands.
fn patched(mut bytes: Vec<u8>, what: &[u8], by: &[u8]) -> Vec<u8> {
    let places = bytes.windows(what.len());
    if let Some(at) = places.into_iter().rposition(|window| window == what) {
        bytes[at..at + by.len()].copy_from_slice(by);
    }
    bytes
}
