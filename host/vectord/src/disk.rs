//! Files that are whole or absent: written beside their place, flushed, and
//! renamed into it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Ends the name of a file that is being written.
pub(crate) const PARTIAL: &str = ".partial";

/// A file being written from its start, a whole block at a time.
///
/// Linux keeps what comes in one aligned piece of this size in one huge page,
/// where the file system can (ext4 since 6.16, XFS), and maps it as such.
/// Searches then find their way about a file of hundreds of megabytes without
/// waiting for page tables.
pub(crate) struct Blocks {
    file: File,
    /// Less than [`Self::SIZE`].
    begun: Vec<u8>,
}

impl Blocks {
    /// A huge page's size on x86-64, and on AArch64 with pages of 4 KiB.
    const SIZE: usize = 2 << 20;

    fn new(file: File) -> Self {
        let begun = Vec::with_capacity(Self::SIZE);
        Self { file, begun }
    }
}

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = &bytes[..bytes.len().min(Self::SIZE - self.begun.len())];
        self.begun.extend_from_slice(part);
        if self.begun.len() == Self::SIZE {
            self.flush()?;
        }
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.begun)?;
        self.begun.clear();
        Ok(())
    }
}

/// Writes a file durably: these bytes and their checksum (CRC-32C,
/// little-endian). On failure nothing of it stays.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, |out| {
        out.write_all(bytes)?;
        out.write_all(&crc32c::crc32c(bytes).to_le_bytes())
    })
}

/// Writes a file durably; `fill` hands over its bytes. On failure nothing of
/// it stays.
pub(crate) fn replace(path: &Path, fill: impl FnOnce(&mut Blocks) -> io::Result<()>) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(PARTIAL);
    let partial = Path::new(&partial);
    (|| {
        let mut out = Blocks::new(File::create(partial)?);
        fill(&mut out)?;
        out.flush()?;
        out.file.sync_all()?;
        fs::rename(partial, path)
    })()
    .map_err(|e: io::Error| {
        // What cannot be removed now goes at the next start.
        let _ = fs::remove_file(partial);
        Error::io(&e, "writing", path)
    })?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Reads a file that [`write`] wrote, without its checksum.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = fs::read(path).map_err(|e| Error::io(&e, "reading", path))?;
    let damaged = || Error::internal(format!("{} is damaged: bad checksum", path.display()));
    let body = bytes.len().checked_sub(4).ok_or_else(damaged)?;
    let (content, crc) = bytes.split_at(body);
    if crc32c::crc32c(content).to_le_bytes() != crc {
        return Err(damaged());
    }
    bytes.truncate(body);
    Ok(bytes)
}

/// Makes names made, changed or removed in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|e| Error::io(&e, "flushing the folder", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_all_sizes_follow_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes: Vec<u8> = (0..2 * Blocks::SIZE + 5)
            .map(|at| (at % 251) as u8)
            .collect();
        for piece in [1000, Blocks::SIZE - 1, Blocks::SIZE, bytes.len()] {
            replace(&path, |out| {
                bytes
                    .chunks(piece)
                    .try_for_each(|piece| out.write_all(piece))
            })
            .unwrap();
            assert!(fs::read(&path).unwrap() == bytes, "pieces of {piece}");
        }
    }
}
