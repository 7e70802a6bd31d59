//! A component's bytes and what they are known by.

use std::fmt;
use std::io::{self, Read};

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// Bytes that are read and hashed while they are at hand.
const BLOCK: u64 = 256 << 10;

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

    /// Reads the bytes, about `size` of them, and works out their digest on the way.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(mut reader: impl Read, size: usize) -> io::Result<Self> {
        let mut hasher = Sha256::new();
        let mut bytes = Vec::with_capacity(size);
        loop {
            let before = bytes.len();
            if reader.by_ref().take(BLOCK).read_to_end(&mut bytes)? == 0 {
                break;
            }
            hasher.update(&bytes[before..]);
        }
        Ok(Self {
            bytes: bytes.into(),
            digest: hex(&hasher.finalize()),
        })
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

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
