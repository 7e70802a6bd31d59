//! Files that are whole or absent: written beside their place, flushed, and
//! renamed into it.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Ends the name of a file that is being written.
pub(crate) const PARTIAL: &str = ".partial";

/// Writes a file durably; `fill` hands over its bytes. The checksum
/// (CRC-32C, little-endian) of all that went before is put at its end. On
/// failure nothing of it stays. Returns its length in bytes.
pub(crate) fn write(
    path: &Path,
    fill: impl FnOnce(&mut Checked<BufWriter<File>>) -> std::io::Result<()>,
) -> Result<u64> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(PARTIAL);
    let partial = Path::new(&partial);
    let written = (|| {
        let mut out = Checked::new(BufWriter::with_capacity(1 << 20, File::create(partial)?));
        fill(&mut out)?;
        let crc = out.crc;
        out.write_all(&crc.to_le_bytes())?;
        out.flush()?;
        out.inner.get_ref().sync_all()?;
        fs::rename(partial, path)?;
        Ok(out.length)
    })()
    .map_err(|e: std::io::Error| {
        // What cannot be removed now goes at the next start.
        let _ = fs::remove_file(partial);
        Error::io(&e, "writing", path)
    })?;
    if let Some(folder) = path.parent() {
        sync_folder(folder)?;
    }
    Ok(written)
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

/// A writer that counts and sums what passes.
pub(crate) struct Checked<W> {
    inner: W,
    crc: u32,
    length: u64,
}

impl<W> Checked<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            crc: 0,
            length: 0,
        }
    }
}

impl<W: Write> Write for Checked<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.crc = crc32c::crc32c_append(self.crc, &bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}
