//! A component's bytes and what they are known by.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::MmapMut;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

/// Bytes that are read and hashed while they are at hand.
const BLOCK: usize = 256 << 10;
/// The same where all processors hash.
const LARGE_BLOCK: usize = 2 << 20;

/// First bytes that are always at hand.
pub(crate) const HEAD: usize = 512;

/// Components that are remembered.
const REMEMBERED: usize = 1000;

/// The digests of components that came twice, by their BLAKE3, which takes half the time
/// of SHA-256 and which all processors can work out together: one that comes again need
/// not be hashed by that, nor be kept in memory.
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
    fn get(&self, quick: &blake3::Hash) -> Option<String> {
        self.0.lock().digests.get(quick).cloned()
    }

    /// Remembers the SHA-256 of these bytes.
    fn insert(&self, bytes: &[u8], digest: String) {
        let quick = blake3::Hasher::new().update_rayon(bytes).finalize();
        let mut known = self.0.lock();
        if known.digests.len() == REMEMBERED {
            known.digests.clear();
        }
        known.digests.insert(quick, digest);
    }
}

/// A component as it was built. Cheap to clone.
#[derive(Clone)]
pub struct Artifact {
    content: Content,
    size: usize,
    digest: String,
}

#[derive(Clone)]
enum Content {
    Memory(Bytes),
    /// A file, with its first bytes: what is compiled already is not needed whole.
    File(Arc<File>, Bytes),
}

impl Artifact {
    /// Takes the bytes and works out their digest.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let digest = hexadecimal(Sha256::digest(&bytes));
        Self::of(bytes, digest)
    }

    fn of(bytes: Bytes, digest: String) -> Self {
        Self {
            size: bytes.len(),
            content: Content::Memory(bytes),
            digest,
        }
    }

    /// Reads a file and works out its digest, unless it is among `known` ones: then the
    /// file is left where it is until its bytes are asked for. None unless there are
    /// `size` of them.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(file: Arc<File>, size: usize, known: &Digests) -> io::Result<Option<Self>> {
        let again = known.comes_again(size);
        if again {
            let Some((hash, head)) = quick_hash(&file, size)? else {
                return Ok(None);
            };
            if let Some(digest) = known.get(&hash) {
                return Ok(Some(Self {
                    content: Content::File(file, head),
                    size,
                    digest,
                }));
            }
        }
        let Some((bytes, digest)) = load(&file, size)? else {
            return Ok(None);
        };
        // Of these bytes: the file may be another one than a moment ago.
        if again {
            known.insert(&bytes, digest.clone());
        }
        Ok(Some(Self::of(bytes, digest)))
    }

    /// The bytes.
    ///
    /// # Errors
    /// Those of reading them, if they are not in memory; and if they are no longer what
    /// they were.
    pub fn bytes(&self) -> io::Result<Bytes> {
        match &self.content {
            Content::Memory(bytes) => Ok(bytes.clone()),
            Content::File(file, _) => match load(file, self.size)? {
                Some((bytes, digest)) if digest == self.digest => Ok(bytes),
                _ => Err(io::Error::other("the file changed after it was read")),
            },
        }
    }

    /// The first of them, at most [`HEAD`].
    pub(crate) fn head(&self) -> &[u8] {
        match &self.content {
            Content::Memory(bytes) => &bytes[..bytes.len().min(HEAD)],
            Content::File(_, head) => head,
        }
    }

    /// Their SHA-256 in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// How many there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size as u64
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

/// A file from its first byte on, whoever else reads it.
struct Reader<'a> {
    file: &'a File,
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl<'a> Reader<'a> {
    fn new(file: &'a File) -> Self {
        Self { file, at: 0 }
    }

    /// Fills `block`, if there are as many bytes.
    fn fill(&mut self, block: &mut [u8]) -> io::Result<bool> {
        match self.read_exact(block) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether nothing is left.
    fn is_at_end(&mut self) -> io::Result<bool> {
        Ok(!self.fill(&mut [0])?)
    }
}

/// The BLAKE3 of a file and its first bytes. None unless it has `size` bytes.
fn quick_hash(file: &File, size: usize) -> io::Result<Option<(blake3::Hash, Bytes)>> {
    let mut reader = Reader::new(file);
    let mut hasher = blake3::Hasher::new();
    let mut head = Bytes::new();
    let mut block = vec![0; LARGE_BLOCK.min(size)];
    let mut left = size;
    while left > 0 {
        let block = &mut block[..LARGE_BLOCK.min(left)];
        if !reader.fill(block)? {
            return Ok(None);
        }
        if left == size {
            head = Bytes::copy_from_slice(&block[..block.len().min(HEAD)]);
        }
        hasher.update_rayon(block);
        left -= block.len();
    }
    Ok(reader.is_at_end()?.then(|| (hasher.finalize(), head)))
}

/// The bytes of a file and their SHA-256. None unless there are `size`. They lie in memory
/// of their own, which the system has back as soon as they are dropped: of a component,
/// nothing is needed once it is compiled, and an allocator would keep its place for as
/// long as the host idles.
fn load(file: &File, size: usize) -> io::Result<Option<(Bytes, String)>> {
    let mut reader = Reader::new(file);
    let mut hasher = Sha256::new();
    let mut bytes = MmapMut::map_anon(size)?;
    // Of what the kernel would have to give page by page. Where it cannot, it is slower.
    #[cfg(target_os = "linux")]
    let _ = bytes.advise(memmap2::Advice::HugePage);
    for block in bytes.chunks_mut(BLOCK) {
        if !reader.fill(block)? {
            return Ok(None);
        }
        hasher.update(block);
    }
    Ok(reader
        .is_at_end()?
        .then(|| (Bytes::from_owner(bytes), hexadecimal(hasher.finalize()))))
}

fn hexadecimal(digest: impl AsRef<[u8]>) -> String {
    use fmt::Write;
    let bytes = digest.as_ref().iter();
    bytes.fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(bytes: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Arc::new(file)
    }

    #[test]
    fn a_file_has_as_many_bytes_as_were_said_or_counts_for_nothing() {
        let bytes = vec![7; 2 * LARGE_BLOCK + 1];
        let known = Digests::default();
        let read = |size| Artifact::read(file(&bytes), size, &known).unwrap();
        // The first time, and when the size is known.
        for _ in 0..2 {
            let artifact = read(bytes.len()).unwrap();
            assert_eq!(artifact.bytes().unwrap(), bytes);
            assert_eq!(artifact.digest(), Artifact::new(bytes.clone()).digest());
            assert!(read(bytes.len() - 1).is_none());
            assert!(read(bytes.len() + 1).is_none());
            let nothing = Artifact::read(file(b""), 0, &known).unwrap().unwrap();
            assert_eq!(nothing.digest(), Artifact::new("").digest());
        }
    }

    #[test]
    fn what_comes_again_has_the_digest_that_it_had_and_its_bytes() {
        let known = Digests::default();
        for _ in 0..3 {
            for number in 0..REMEMBERED + 10 {
                let text = number.to_string();
                let read = Artifact::read(file(text.as_bytes()), text.len(), &known);
                let read = read.unwrap().unwrap();
                assert_eq!(read.head(), text.as_bytes());
                assert_eq!(read.bytes().unwrap(), text);
                assert_eq!(read.digest(), Artifact::new(text).digest());
            }
        }
        let known = known.0.lock();
        assert!(!known.digests.is_empty() && known.digests.len() <= REMEMBERED);
    }

    #[test]
    fn a_file_that_changes_before_it_is_needed_is_no_component() {
        let known = Digests::default();
        let text = "a component".as_bytes();
        let file = file(text);
        let read = || Artifact::read(Arc::clone(&file), text.len(), &known);
        let held: Vec<_> = (0..2).map(|_| read().unwrap().unwrap()).collect();
        let left = read().unwrap().unwrap();
        assert!(matches!(left.content, Content::File(..)));
        file.write_all_at(b"b", 0).unwrap();
        assert!(left.bytes().unwrap_err().to_string().contains("changed"));
        for held in held {
            assert_eq!(held.bytes().unwrap(), text);
        }
    }
}
