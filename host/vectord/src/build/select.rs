//! Choosing what a node links to: the heuristic of neighbour selection of HNSW (Malkov and
//! Yashunin 2016, algorithm 4).

use crate::field::Field;
use crate::walk::score;

/// What a node may link to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// From the node.
    pub distance: f32,
    pub row: u32,
    /// It was chosen for this node before, together with all others of which that is so:
    /// none of them is nearer to another than to the node.
    pub chosen: bool,
}

/// The candidates for a node's links, and what choosing among them needs.
pub(super) struct Selection<F: Field> {
    /// Nearest first.
    pub candidates: Vec<Candidate>,
    /// Of those kept that were chosen before, the rows.
    old: Vec<u32>,
    /// Of the others kept, probes.
    new: Vec<F::Probe>,
    probe: F::Probe,
    scores: Vec<f32>,
}

impl<F: Field> Selection<F> {
    pub fn new() -> Self {
        Self {
            candidates: Vec::new(),
            old: Vec::new(),
            new: Vec::new(),
            probe: F::Probe::default(),
            scores: Vec::new(),
        }
    }

    /// Makes some rows the candidates for a node, the first `chosen` of which were chosen
    /// for it before.
    pub fn rank(&mut self, field: &F, node: u32, rows: &[u32], chosen: usize) {
        for row in rows {
            field.prefetch(*row);
        }
        field.aim(node, &mut self.probe);
        self.scores.resize(rows.len(), 0.0);
        field.scores(&self.probe, rows, &mut self.scores);
        let scored = self.scores.iter().zip(rows).zip(0..);
        self.candidates.clear();
        self.candidates
            .extend(scored.map(|((distance, row), at)| Candidate {
                distance: *distance,
                row: *row,
                chosen: at < chosen,
            }));
        self.candidates
            .sort_unstable_by(|a, b| a.distance.total_cmp(&b.distance));
    }

    /// Keeps of the candidates, nearest first, those that are nearer to the node than to any
    /// kept before: at most `most`. False if there are fewer: they are all kept.
    pub fn select(&mut self, field: &F, most: usize) -> bool {
        if self.candidates.len() < most {
            return false;
        }
        self.old.clear();
        let (mut kept, mut new) = (0, 0);
        for at in 0..self.candidates.len() {
            if kept == most {
                break;
            }
            let candidate = self.candidates[at];
            if !self.is_apart(field, candidate, new) {
                continue;
            }
            if candidate.chosen {
                self.old.push(candidate.row);
            } else {
                if self.new.len() == new {
                    self.new.push(F::Probe::default());
                }
                field.aim(candidate.row, &mut self.new[new]);
                new += 1;
            }
            self.candidates[kept] = candidate;
            kept += 1;
        }
        self.candidates.truncate(kept);
        true
    }

    /// Whether a candidate is nearer to the node than to any kept so far, `new` of which
    /// were not chosen before.
    fn is_apart(&mut self, field: &F, candidate: Candidate, new: usize) -> bool {
        let Candidate {
            distance,
            row,
            chosen,
        } = candidate;
        let apart = |probe: &F::Probe| score(field, probe, row) >= distance;
        if !self.new[..new].iter().all(apart) {
            return false;
        }
        // Of two that were chosen before this is known.
        if chosen || self.old.is_empty() {
            return true;
        }
        field.aim(row, &mut self.probe);
        self.scores.resize(self.old.len(), 0.0);
        field.scores(&self.probe, &self.old, &mut self.scores);
        self.scores.iter().all(|score| *score >= distance)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::field::Floats;
    use crate::kernel::FLOATS;

    proptest! {
        /// What is known of those chosen before changes nothing but the work.
        #[test]
        fn what_was_chosen_before_is_chosen_again(
            points in prop::collection::vec([-9_i8..9, -9_i8..9, -9_i8..9], 12..60),
            most in 4_usize..12,
        ) {
            let mut matrix = vec![0.0_f32; points.len() * FLOATS];
            for (row, point) in matrix.chunks_mut(FLOATS).zip(&points) {
                for (value, coordinate) in row.iter_mut().zip(point) {
                    *value = f32::from(*coordinate);
                }
            }
            let field = Floats::squares(&matrix, FLOATS);
            let rows: Vec<u32> = (1..points.len() as u32).collect();
            let (first, rest) = rows.split_at(rows.len() / 2);
            let chosen = |rows: &[u32], chosen| {
                let mut selection = Selection::new();
                selection.rank(&field, 0, rows, chosen);
                let selected = selection.select(&field, most);
                let rows = selection.candidates.iter().map(|candidate| candidate.row);
                (selected, rows.collect::<Vec<_>>())
            };
            let (selected, mut again) = chosen(first, 0);
            let known = if selected { again.len() } else { 0 };
            again.extend(rest);
            prop_assert_eq!(chosen(&again, known), chosen(&again, 0));
        }
    }
}
