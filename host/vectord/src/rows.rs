//! The columns of a segment.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock};

use hashbrown::HashTable;

use crate::column::Column;
use crate::field::stride;
use crate::kernel;
use crate::types::Distance;
use crate::validate::Space;

/// Hashes ids; one for all tables, so that an id is hashed once to be looked
/// up in many.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The hash of an id, of this process alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IdHash(u32);

impl IdHash {
    pub fn of(id: &str) -> Self {
        Self(HASHER.hash_one(id) as u32)
    }

    /// For a table, which tells entries apart by the first bits and finds them by the
    /// last ones.
    pub fn wide(self) -> u64 {
        // By the golden ratio, as Fibonacci hashing does.
        u64::from(self.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// Texts of rows, some of which may be absent; none is empty.
#[derive(Clone, Debug)]
pub(crate) enum Texts {
    Owned(Vec<Option<Arc<str>>>),
    /// Where each one ends in the bytes; absent if that is where it begins.
    Mapped {
        ends: Column<u64>,
        bytes: Column<u8>,
    },
}

impl Default for Texts {
    fn default() -> Self {
        Self::Owned(Vec::new())
    }
}

impl Texts {
    /// Texts of a file.
    pub fn mapped(ends: Column<u64>, bytes: Column<u8>) -> Result<Self, String> {
        let text = std::str::from_utf8(&bytes).map_err(|e| e.to_string())?;
        let mut before = 0;
        for end in ends.iter() {
            let at = usize::try_from(*end).unwrap_or(usize::MAX);
            if at < before || !text.is_char_boundary(at) {
                return Err(format!("a text ends at byte {end} of {}", text.len()));
            }
            before = at;
        }
        if before != text.len() {
            return Err(format!("texts of {before} bytes in {}", text.len()));
        }
        Ok(Self::Mapped { ends, bytes })
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Owned(texts) => texts.len(),
            Self::Mapped { ends, .. } => ends.len(),
        }
    }

    pub fn get(&self, row: usize) -> Option<&str> {
        match self {
            Self::Owned(texts) => texts[row].as_deref(),
            Self::Mapped { ends, bytes } => {
                let start = row.checked_sub(1).map_or(0, |before| ends[before]);
                let text = &bytes[start as usize..ends[row] as usize];
                // Checked when it was mapped.
                std::str::from_utf8(text)
                    .ok()
                    .filter(|text| !text.is_empty())
            }
        }
    }

    pub fn shared(&self, row: usize) -> Option<Arc<str>> {
        match self {
            Self::Owned(texts) => texts[row].clone(),
            Self::Mapped { .. } => self.get(row).map(Arc::from),
        }
    }

    /// Bytes of memory that it holds.
    fn memory(&self) -> usize {
        /// Of an allocation that counts its references.
        const HEADER: usize = 32;
        match self {
            Self::Owned(texts) => {
                let some = texts.iter().flatten();
                let bytes = some.map(|text| text.len() + HEADER).sum::<usize>();
                bytes + texts.capacity() * size_of::<Option<Arc<str>>>()
            }
            Self::Mapped { .. } => 0,
        }
    }

    fn push(&mut self, text: Option<Arc<str>>) {
        if let Self::Mapped { .. } = self {
            *self = Self::Owned((0..self.len()).map(|row| self.shared(row)).collect());
        }
        if let Self::Owned(texts) = self {
            texts.push(text);
        }
    }
}

/// Columns of a segment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    ids: Texts,
    /// Of the ids: most that differ need not be read to tell.
    hashes: Vec<IdHash>,
    pub metadata: Texts,
    /// All vectors as they came, each with zeros up to the stride.
    pub vectors: Column<f32>,
    /// Under cosine, one over each vector's length, and empty if all of them
    /// are one; else empty.
    pub scales: Column<f32>,
    /// Rows by id, the last one of each.
    table: HashTable<u32>,
}

impl Rows {
    /// Columns of a file, whose lengths fit each other.
    pub fn mapped(ids: Texts, metadata: Texts, vectors: Column<f32>, scales: Column<f32>) -> Self {
        let id = |row| ids.get(row).unwrap_or_default();
        let hashes: Vec<_> = (0..ids.len()).map(|row| IdHash::of(id(row))).collect();
        let mut table = HashTable::with_capacity(hashes.len());
        let hash_of = |row: &u32| hashes[*row as usize].wide();
        for row in 0..hashes.len() as u32 {
            table.insert_unique(hash_of(&row), row, hash_of);
        }
        Self {
            ids,
            hashes,
            metadata,
            vectors,
            scales,
            table,
        }
    }

    /// None yet, with room for so many.
    pub fn with_capacity(space: Space, rows: usize) -> Self {
        let scales = match space.distance {
            Distance::Cosine => rows,
            Distance::L2 | Distance::Dot => 0,
        };
        Self {
            ids: Texts::Owned(Vec::with_capacity(rows)),
            hashes: Vec::with_capacity(rows),
            metadata: Texts::Owned(Vec::with_capacity(rows)),
            vectors: Vec::with_capacity(rows * stride(space.dimension)).into(),
            scales: Vec::with_capacity(scales).into(),
            table: HashTable::with_capacity(rows),
        }
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Bytes of memory that they hold, less what is mapped.
    pub fn memory(&self) -> usize {
        self.ids.memory()
            + self.hashes.capacity() * size_of::<IdHash>()
            + self.metadata.memory()
            + self.vectors.memory()
            + self.scales.memory()
            + self.table.allocation_size()
    }

    pub fn push(&mut self, space: Space, id: Arc<str>, vector: &[f32], metadata: Option<Arc<str>>) {
        let row = self.len() as u32;
        self.hashes.push(IdHash::of(&id));
        self.ids.push(Some(id));
        self.metadata.push(metadata);
        let vectors = self.vectors.to_mut();
        vectors.extend_from_slice(vector);
        vectors.resize((row as usize + 1) * stride(space.dimension), 0.0);
        if space.distance == Distance::Cosine {
            let scale = (1.0 / kernel::norm(vector)) as f32;
            self.scales.to_mut().push(scale);
        }
        self.enter(row);
    }

    /// The rows of each, one after the other, in memory.
    pub fn joined(parts: &[&Self]) -> Self {
        let count = parts.iter().map(|part| part.len()).sum();
        let columns = |of: fn(&Self) -> &Column<f32>| {
            let parts: Vec<&[f32]> = parts.iter().map(|part| &**of(part)).collect();
            parts.concat().into()
        };
        let texts = |of: fn(&Self) -> &Texts| {
            let mut all = Vec::with_capacity(count);
            for texts in parts.iter().map(|part| of(part)) {
                all.extend((0..texts.len()).map(|row| texts.shared(row)));
            }
            Texts::Owned(all)
        };
        let hashes: Vec<_> = parts.iter().map(|part| &part.hashes[..]).collect();
        let mut rows = Self {
            ids: texts(|part| &part.ids),
            hashes: hashes.concat(),
            metadata: texts(|part| &part.metadata),
            vectors: columns(|part| &part.vectors),
            scales: columns(|part| &part.scales),
            table: HashTable::with_capacity(count),
        };
        (0..count as u32).for_each(|row| rows.enter(row));
        rows
    }

    /// Makes a row the one that its id leads to.
    fn enter(&mut self, row: u32) {
        let (ids, hashes) = (&self.ids, &self.hashes);
        let place = row as usize;
        let (hash, id) = (hashes[place], ids.get(place));
        let same = |other: &u32| {
            let other = *other as usize;
            hashes[other] == hash && ids.get(other) == id
        };
        match self.table.find_mut(hash.wide(), same) {
            Some(found) => *found = row,
            None => {
                let hash_of = |row: &u32| hashes[*row as usize].wide();
                self.table.insert_unique(hash.wide(), row, hash_of);
            }
        }
    }

    /// The last row of an id, whose hash is given too.
    pub fn find(&self, id: &str, hash: IdHash) -> Option<usize> {
        let same = |row: &u32| {
            let row = *row as usize;
            self.hashes[row] == hash && self.ids.get(row) == Some(id)
        };
        self.table.find(hash.wide(), same).map(|row| *row as usize)
    }

    pub fn id(&self, row: usize) -> &str {
        // No row is without an id.
        self.ids.get(row).unwrap_or_default()
    }

    pub fn shared_id(&self, row: usize) -> Arc<str> {
        self.ids.shared(row).unwrap_or_default()
    }

    /// A vector as it came.
    pub fn vector(&self, space: Space, row: usize) -> &[f32] {
        let start = row * stride(space.dimension);
        &self.vectors[start..start + space.dimension]
    }

    /// One over the length of a row's vector under cosine, else one.
    pub fn scale(&self, row: usize) -> f32 {
        self.scales.get(row).copied().unwrap_or(1.0)
    }
}
