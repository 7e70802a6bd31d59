//! Files that are whole or absent: written beside their place, flushed, and
//! renamed into it.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Ends the name of a file that is being written.
pub(crate) const PARTIAL: &str = ".partial";

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
pub(crate) fn replace(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(PARTIAL);
    let partial = Path::new(&partial);
    (|| {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(partial)?);
        fill(&mut out)?;
        out.flush()?;
        out.get_ref().sync_all()?;
        fs::rename(partial, path)
    })()
    .map_err(|e: std::io::Error| {
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
