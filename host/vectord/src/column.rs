//! A run of values, in memory or in a mapped file.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use bytemuck::Pod;

use crate::mapping::Mapping;

/// Values that searches read. In files they are little-endian, as on every
/// processor that this is built for.
#[derive(Clone)]
pub(crate) enum Column<T> {
    Owned(Vec<T>),
    Mapped {
        mapping: Arc<Mapping>,
        /// Bytes of the file, aligned for `T` and a whole number of them.
        bytes: Range<usize>,
    },
}

#[cfg(target_endian = "big")]
compile_error!("files hold little-endian values that are read where they lie");

impl<T: Pod> Column<T> {
    /// The values that some bytes of a file hold.
    pub fn mapped(mapping: &Arc<Mapping>, bytes: Range<usize>) -> Result<Self, String> {
        let found = mapping.get(bytes.clone()).ok_or("it ends too early")?;
        bytemuck::try_cast_slice::<u8, T>(found).map_err(|e| e.to_string())?;
        Ok(Self::Mapped {
            mapping: Arc::clone(mapping),
            bytes,
        })
    }
}

impl<T: Pod> Column<T> {
    /// Bytes of memory that it holds, none if it is mapped.
    pub fn memory(&self) -> usize {
        match self {
            Self::Owned(values) => values.capacity() * size_of::<T>(),
            Self::Mapped { .. } => 0,
        }
    }

    /// The values of some rows of a matrix, each of `stride` values, in that order.
    pub fn rows(&self, stride: usize, order: &[u32]) -> Vec<T> {
        let mut values = Vec::with_capacity(order.len() * stride);
        for row in order {
            let start = *row as usize * stride;
            values.extend_from_slice(&self[start..start + stride]);
        }
        values
    }

    /// The values to be changed, in memory from now on.
    pub fn to_mut(&mut self) -> &mut Vec<T> {
        if let Self::Mapped { .. } = self {
            *self = Self::Owned(self.to_vec());
        }
        match self {
            Self::Owned(values) => values,
            Self::Mapped { .. } => unreachable!("it was just made to be owned"),
        }
    }
}

impl<T: Pod> Deref for Column<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Self::Owned(values) => values,
            // Checked when it was made.
            Self::Mapped { mapping, bytes } => bytemuck::cast_slice(&mapping[bytes.clone()]),
        }
    }
}

impl<T> Default for Column<T> {
    fn default() -> Self {
        Self::Owned(Vec::new())
    }
}

impl<T> From<Vec<T>> for Column<T> {
    fn from(values: Vec<T>) -> Self {
        Self::Owned(values)
    }
}

impl<T: Pod> fmt::Debug for Column<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} values", self.len())
    }
}
