//! The `compression` interface: codecs at the machine's own speed.
//!
//! The frames are read where they lie in the guest's memory. A call runs on the
//! thread of the guest that makes it, as the guest's own code would; what it may
//! take there is bounded by [`MAX_CAPACITY`].

use std::cell::RefCell;

use lakehouse_runtime::{Capability, Extensions, PluginSpec, State};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmList};
use zstd::bulk::Decompressor;

use crate::Error;
use crate::bindings::types;

/// The instance that plugins import.
const INSTANCE: &str = "lakehouse:plugin/compression@0.1.0";

/// Most bytes that one call may produce: some 15 ms of work.
const MAX_CAPACITY: u32 = 16 << 20;

/// Codecs for plugins.
#[derive(Clone, Copy, Debug, Default)]
pub struct CompressionCapability;

impl Capability for CompressionCapability {
    fn name(&self) -> &'static str {
        "compression"
    }

    fn version(&self) -> Option<&str> {
        Some(crate::version())
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &["lakehouse:plugin/compression"]
    }

    fn needs_grant(&self) -> bool {
        false
    }

    fn prepare(&self, _spec: &PluginSpec, _ext: &mut Extensions) -> Result<(), String> {
        Ok(())
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        // Not through the generated bindings, which would copy the frames first.
        linker.instance(INSTANCE)?.func_wrap(
            "zstd-decompress",
            |store: StoreContextMut<'_, State>, (frames, capacity): (WasmList<u8>, u32)| {
                let content = decompress(frames.as_le_slice(&store), capacity);
                Ok((content.map_err(types::Error::from),))
            },
        )
    }
}

thread_local! {
    /// A context and its tables, 150 KiB, serve one frame after the other.
    static DECOMPRESSOR: RefCell<Decompressor<'static>> = RefCell::default();
}

/// The content of zstd frames, of at most `capacity` bytes.
fn decompress(frames: &[u8], capacity: u32) -> Result<Vec<u8>, Error> {
    if capacity > MAX_CAPACITY {
        return Err(Error::invalid(format!(
            "{capacity} bytes are to come out of one call; {MAX_CAPACITY} are allowed"
        )));
    }
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        decompressor
            .decompress(frames, capacity as usize)
            .map_err(|reason| {
                Error::invalid(format!(
                    "{} bytes that are no zstd frames of at most {capacity} bytes",
                    frames.len()
                ))
                .with_source(reason)
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    /// 100,000 bytes that compress well and are not all the same.
    fn content() -> Vec<u8> {
        (0..100_000_u32)
            .map(|index| (index / 7 % 251) as u8)
            .collect()
    }

    fn frame(content: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(content, 1).unwrap()
    }

    fn refused(frames: &[u8], capacity: u32) -> String {
        let error = decompress(frames, capacity).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        error.to_string()
    }

    #[test]
    fn frames_come_out_one_after_the_other() {
        let content = content();
        let mut frames = frame(&content);
        assert_eq!(decompress(&frames, 100_000).unwrap(), content);
        frames.extend(frame(b"the end"));
        let both = decompress(&frames, 200_000).unwrap();
        assert_eq!(both, [content.as_slice(), b"the end"].concat());
        assert_eq!(decompress(&frame(b""), 0).unwrap(), b"");
    }

    #[test]
    fn frames_that_do_not_tell_their_size_are_bounded_by_the_capacity() {
        let content = content();
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
        std::io::Write::write_all(&mut encoder, &content).unwrap();
        let frames = encoder.finish().unwrap();
        assert_eq!(decompress(&frames, 100_000).unwrap(), content);
        assert!(refused(&frames, 99_999).contains("Destination buffer is too small"));
    }

    #[test]
    fn more_than_the_capacity_is_refused() {
        let frames = frame(&content());
        assert!(refused(&frames, 99_999).contains("100000 bytes needed, 99999 given"));
        assert!(refused(&frames, 0).contains("too small"));
    }

    #[test]
    fn a_capacity_beyond_the_bound_is_refused_whatever_is_in_the_frame() {
        for capacity in [MAX_CAPACITY + 1, u32::MAX] {
            let text = refused(&frame(b"few"), capacity);
            assert!(text.contains("16777216 are allowed"), "{text}");
        }
    }

    #[test]
    fn damage_is_refused_and_the_next_frame_is_read() {
        let content = content();
        let whole = frame(&content);
        for length in 1..whole.len() {
            refused(&whole[..length], 100_000);
        }
        refused(b"not zstd at all", 100);
        let mut bent = whole.clone();
        bent[0] ^= 1;
        refused(&bent, 100_000);
        assert_eq!(decompress(&whole, 100_000).unwrap(), content);
    }

    #[test]
    fn a_frame_that_lies_about_its_size_takes_no_more_than_the_capacity() {
        // A header that promises an exbibyte, and nothing behind it.
        let mut frames = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
        frames.extend((1_u64 << 60).to_le_bytes());
        assert!(!refused(&frames, 1 << 20).is_empty());
    }
}
