//! The states of a plugin's aggregate, which are bytes here.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, UInt64Array, new_empty_array,
};
use datafusion::arrow::compute::{filter, prep_null_mask_filter, take};
use datafusion::error::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

use super::remote::{PIECE, Remote, size};

/// No place among the states of a call.
const NOWHERE: u32 = u32::MAX;

/// A step of an aggregate: states, the state of each row, and the rows' columns.
type Call = fn(&Remote, BinaryArray, Vec<u32>, &[ArrayRef]) -> Result<BinaryArray>;

/// A state for each group of rows. A call carries the states of the groups that its
/// rows belong to, and no others.
#[derive(Debug, Clone)]
pub struct States {
    remote: Arc<Remote>,
    /// None for a group that saw no row.
    states: Vec<Option<Box<[u8]>>>,
    /// Bytes of all of them.
    bytes: usize,
}

impl States {
    pub fn new(remote: Arc<Remote>) -> Self {
        Self {
            remote,
            states: Vec::new(),
            bytes: 0,
        }
    }

    /// Makes room for so many groups.
    pub fn resize(&mut self, groups: usize) {
        self.states.resize(groups, None);
    }

    /// Has `call` change the states of the groups that rows belong to: it gets them, for
    /// each row the place of its state among them, and the rows. Too many rows for one
    /// call go in two.
    fn exchange(
        &mut self,
        groups: &[usize],
        total: usize,
        columns: &[ArrayRef],
        call: Call,
    ) -> Result<()> {
        self.resize(total);
        if groups.is_empty() {
            return Ok(());
        }
        let mut places = vec![NOWHERE; total];
        let mut touched = Vec::new();
        let rows = groups.iter().map(|&group| {
            if places[group] == NOWHERE {
                // As many as rows of a batch, far below what 32 bits count.
                places[group] = touched.len() as u32;
                touched.push(group);
            }
            places[group]
        });
        let rows: Vec<u32> = rows.collect();
        let states = touched.iter().map(|&group| self.states[group].as_deref());
        let bytes: usize = states.clone().flatten().map(<[u8]>::len).sum();
        if groups.len() > 1 && bytes + size(columns)? > PIECE {
            let (first, second) = groups.split_at(groups.len() / 2);
            let slice = |from, rows: &[usize]| -> Vec<ArrayRef> {
                let columns = columns.iter().map(|column| column.slice(from, rows.len()));
                columns.collect()
            };
            self.exchange(first, total, &slice(0, first), call)?;
            return self.exchange(second, total, &slice(first.len(), second), call);
        }
        let changed = call(&self.remote, states.collect(), rows, columns)?;
        for (&group, state) in touched.iter().zip(&changed) {
            let state = state.map(Box::from);
            let before = std::mem::replace(&mut self.states[group], state);
            let length = |state: &Option<Box<[u8]>>| state.as_ref().map_or(0, |state| state.len());
            self.bytes = self.bytes - length(&before) + length(&self.states[group]);
        }
        Ok(())
    }

    /// Takes states out as an array.
    fn emit(&mut self, which: EmitTo) -> BinaryArray {
        let states = which.take_needed(&mut self.states);
        let states: BinaryArray = states.iter().map(Option::as_deref).collect();
        self.bytes = self.bytes.saturating_sub(states.values().len());
        states
    }
}

impl GroupsAccumulator for States {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        only: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        let Some(only) = only else {
            return self.exchange(groups, total, values, Remote::accumulate);
        };
        let only = match only.null_count() {
            0 => only.clone(),
            _ => prep_null_mask_filter(only),
        };
        let values = values.iter().map(|column| filter(column, &only));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let kept = groups.iter().zip(only.values().iter());
        let kept: Vec<usize> = kept
            .filter_map(|(group, keep)| keep.then_some(*group))
            .collect();
        self.exchange(&kept, total, &values, Remote::accumulate)
    }

    fn evaluate(&mut self, which: EmitTo) -> Result<ArrayRef> {
        let states = self.emit(which);
        if states.is_empty() {
            return Ok(new_empty_array(self.remote.returns()));
        }
        self.remote.evaluate(states)
    }

    fn state(&mut self, which: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(self.emit(which))])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        // A state that saw no row has nothing to say.
        let some: Vec<usize> = (0..groups.len())
            .filter(|at| values[0].is_valid(*at))
            .collect();
        let rows = UInt64Array::from_iter_values(some.iter().map(|at| *at as u64));
        let others = take(&values[0], &rows, None)?;
        let groups: Vec<usize> = some.into_iter().map(|at| groups[at]).collect();
        self.exchange(&groups, total, &[others], Remote::merge)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        only: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |column| column.len());
        let mut each = Self::new(Arc::clone(&self.remote));
        let groups: Vec<usize> = (0..rows).collect();
        each.update_batch(values, &groups, only, rows)?;
        each.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.bytes + self.states.capacity() * size_of::<Option<Box<[u8]>>>()
    }
}
