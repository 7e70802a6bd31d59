//! A component's bytes and what they are known by.

use std::fmt;
use std::io::{self, Read};

use bytes::Bytes;
use memmap2::MmapMut;
use sha2::{Digest, Sha256};

/// Bytes that are read and hashed while they are at hand.
const BLOCK: usize = 256 << 10;

/// A component as it was built, in memory. Cheap to clone.
#[derive(Clone)]
pub struct Artifact {
    bytes: Bytes,
    digest: String,
}

impl Artifact {
    /// Takes the bytes and works out their digest.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let digest = hex(&Sha256::digest(&bytes));
        Self { bytes, digest }
    }

    /// Reads the bytes and works out their digest on the way. None unless there are
    /// `size` of them. They lie in memory of their own, which the system has back as soon
    /// as they are dropped: of a component, nothing is needed once it is compiled, and an
    /// allocator would keep its place for as long as the host idles.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(mut reader: impl Read, size: usize) -> io::Result<Option<Self>> {
        let mut hasher = Sha256::new();
        let mut bytes = MmapMut::map_anon(size)?;
        // Of what the kernel would have to give page by page. Where it cannot, it is slower.
        #[cfg(target_os = "linux")]
        let _ = bytes.advise(memmap2::Advice::HugePage);
        for block in bytes.chunks_mut(BLOCK) {
            if !fill(&mut reader, block)? {
                return Ok(None);
            }
            hasher.update(block);
        }
        if fill(&mut reader, &mut [0])? {
            return Ok(None);
        }
        Ok(Some(Self {
            bytes: Bytes::from_owner(bytes),
            digest: hex(&hasher.finalize()),
        }))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Their SHA-256 in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// How many there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
}

impl fmt::Debug for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Artifact")
            .field("digest", &self.digest)
            .field("size", &self.size())
            .finish()
    }
}

/// Fills `block`, if there are as many bytes.
fn fill(reader: &mut impl Read, block: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(block) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_gives_as_many_bytes_as_were_said_or_nothing() {
        let bytes = vec![7; 2 * BLOCK + 1];
        let read = |size| Artifact::read(&*bytes, size).unwrap();
        let artifact = read(bytes.len()).unwrap();
        assert_eq!(artifact.bytes(), &bytes);
        assert_eq!(artifact.digest(), Artifact::new(bytes.clone()).digest());
        assert!(read(bytes.len() - 1).is_none());
        assert!(read(bytes.len() + 1).is_none());
        let nothing = Artifact::read(io::empty(), 0).unwrap().unwrap();
        assert_eq!(nothing.digest(), Artifact::new("").digest());
    }
}
