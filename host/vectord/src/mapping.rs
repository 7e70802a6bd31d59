//! Files mapped into memory, to be read only.

use std::fmt;
use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use crate::error::{Error, Result};

/// A whole file.
pub(crate) struct Mapping(Mmap);

impl Mapping {
    /// Maps a file that nobody changes any more.
    ///
    /// What it is asked of the system: the service holds its folder's lock,
    /// writes segment files whole before they get their name, and never
    /// again. Cutting one while it is mapped ends the process with a bus
    /// error, as for every program that maps files.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(&e, "opening", path))?;
        // SAFETY: the bytes do not change while they are borrowed, since no
        // one changes the file; see above.
        let mapped = unsafe { Mmap::map(&file) };
        mapped.map(Self).map_err(|e| Error::io(&e, "mapping", path))
    }
}

impl Deref for Mapping {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} mapped bytes", self.0.len())
    }
}
