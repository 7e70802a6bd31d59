//! Sets of a segment's rows.

/// Some of a segment's rows: a bit for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowSet {
    words: Vec<u64>,
    /// Rows of the segment; bits beyond are never set.
    rows: usize,
}

impl RowSet {
    /// No row of a segment of so many.
    pub fn none(rows: usize) -> Self {
        Self {
            words: vec![0; rows.div_ceil(64)],
            rows,
        }
    }

    /// Every row of a segment of so many.
    pub fn all(rows: usize) -> Self {
        let mut set = Self {
            words: vec![u64::MAX; rows.div_ceil(64)],
            rows,
        };
        set.trim();
        set
    }

    fn trim(&mut self) {
        if let Some(last) = self.words.last_mut()
            && !self.rows.is_multiple_of(64)
        {
            *last &= (1 << (self.rows % 64)) - 1;
        }
    }

    pub fn insert(&mut self, row: u32) {
        self.words[row as usize / 64] |= 1 << (row % 64);
    }

    pub fn contains(&self, row: usize) -> bool {
        self.words[row / 64] >> (row % 64) & 1 == 1
    }

    /// How many rows there are in it.
    pub fn count(&self) -> usize {
        self.words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    /// Keeps what the other has too.
    pub fn intersect(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }

    /// Takes in what the other has.
    pub fn unite(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word |= other;
        }
    }

    /// Becomes the rows that it lacked.
    pub fn complement(&mut self) {
        self.words.iter_mut().for_each(|word| *word = !*word);
        self.trim();
    }

    /// Its rows, rising.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
                rest &= rest - 1;
                Some(at * 64 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(
            rows in 1_usize..200,
            a in prop::collection::btree_set(0_usize..200, 0..50),
            b in prop::collection::btree_set(0_usize..200, 0..50),
        ) {
            let within = |set: BTreeSet<usize>| -> BTreeSet<usize> {
                set.into_iter().filter(|row| *row < rows).collect()
            };
            let of = |set: &BTreeSet<usize>| {
                let mut found = RowSet::none(rows);
                set.iter().for_each(|row| found.insert(*row as u32));
                found
            };
            let (a, b) = (within(a), within(b));
            let (mut both, mut either, mut not) = (of(&a), of(&a), of(&a));
            both.intersect(&of(&b));
            either.unite(&of(&b));
            not.complement();
            prop_assert_eq!(both.iter().collect::<BTreeSet<_>>(), &a & &b);
            prop_assert_eq!(either.count(), (&a | &b).len());
            let all = RowSet::all(rows).iter().collect::<BTreeSet<_>>();
            prop_assert_eq!(all.len(), rows);
            prop_assert_eq!(not.iter().collect::<BTreeSet<_>>(), &all - &a);
            prop_assert!(all.iter().all(|row| of(&a).contains(*row) == a.contains(row)));
        }
    }
}
