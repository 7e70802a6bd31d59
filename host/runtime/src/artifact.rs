//! A component's bytes and what they are known by.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{self, Read};

use bytes::Bytes;
use memmap2::MmapMut;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

/// Bytes that are read and hashed while they are at hand.
const BLOCK: usize = 256 << 10;

/// Components that are remembered.
const REMEMBERED: usize = 1000;

/// The digests of components that came twice, by their BLAKE3, which takes half the time
/// of SHA-256: one that comes again need not be hashed by that.
#[derive(Debug, Default)]
pub struct Digests(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Of all components that came. What comes once, as at a start, is hashed once.
    sizes: HashSet<usize>,
    digests: HashMap<blake3::Hash, String>,
}

impl Digests {
    /// Whether a component of this size came before.
    fn comes_again(&self, size: usize) -> bool {
        let mut known = self.0.lock();
        if known.sizes.len() == REMEMBERED {
            known.sizes.clear();
        }
        !known.sizes.insert(size)
    }

    /// The SHA-256 of bytes with this BLAKE3.
    fn of(&self, quick: blake3::Hash, bytes: &[u8]) -> String {
        if let Some(digest) = self.0.lock().digests.get(&quick) {
            return digest.clone();
        }
        let digest = sha256(bytes);
        let mut known = self.0.lock();
        if known.digests.len() == REMEMBERED {
            known.digests.clear();
        }
        known.digests.insert(quick, digest.clone());
        digest
    }
}

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
        let digest = sha256(&bytes);
        Self { bytes, digest }
    }

    /// Reads the bytes and works out their digest, unless it is among `known` ones. None
    /// unless there are `size` of them. They lie in memory of their own, which the system
    /// has back as soon as they are dropped: of a component, nothing is needed once it is
    /// compiled, and an allocator would keep its place for as long as the host idles.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(mut reader: impl Read, size: usize, known: &Digests) -> io::Result<Option<Self>> {
        let mut quick = known.comes_again(size).then(blake3::Hasher::new);
        let mut bytes = MmapMut::map_anon(size)?;
        // Of what the kernel would have to give page by page. Where it cannot, it is slower.
        #[cfg(target_os = "linux")]
        let _ = bytes.advise(memmap2::Advice::HugePage);
        for block in bytes.chunks_mut(BLOCK) {
            if !fill(&mut reader, block)? {
                return Ok(None);
            }
            if let Some(quick) = &mut quick {
                quick.update(block);
            }
        }
        if fill(&mut reader, &mut [0])? {
            return Ok(None);
        }
        let digest = match quick {
            Some(quick) => known.of(quick.finalize(), &bytes),
            None => sha256(&bytes),
        };
        Ok(Some(Self {
            bytes: Bytes::from_owner(bytes),
            digest,
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

/// In hexadecimal.
fn sha256(bytes: &[u8]) -> String {
    use fmt::Write;
    let digest = Sha256::digest(bytes);
    digest.iter().fold(String::new(), |mut text, byte| {
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
        let known = Digests::default();
        let read = |size| Artifact::read(&*bytes, size, &known).unwrap();
        let artifact = read(bytes.len()).unwrap();
        assert_eq!(artifact.bytes(), &bytes);
        assert_eq!(artifact.digest(), Artifact::new(bytes.clone()).digest());
        assert!(read(bytes.len() - 1).is_none());
        assert!(read(bytes.len() + 1).is_none());
        let nothing = Artifact::read(io::empty(), 0, &known).unwrap().unwrap();
        assert_eq!(nothing.digest(), Artifact::new("").digest());
    }

    #[test]
    fn what_comes_again_has_the_digest_that_it_had() {
        let known = Digests::default();
        for _ in 0..2 {
            for number in 0..REMEMBERED + 10 {
                let text = number.to_string();
                let read = Artifact::read(text.as_bytes(), text.len(), &known).unwrap();
                assert_eq!(read.unwrap().digest(), Artifact::new(text).digest());
            }
        }
        let known = known.0.lock();
        assert!(!known.digests.is_empty() && known.digests.len() <= REMEMBERED);
    }
}
