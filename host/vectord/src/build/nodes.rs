//! The vectors that a graph links, in the form in which they are compared.
//!
//! By default that is their codes, which take a quarter of the memory to
//! read; where codes do not rank as the vectors do, the vectors themselves.

use std::borrow::Cow;
use std::collections::HashSet;

use rayon::prelude::*;

use crate::builders::{give_way, give_way_at};
use crate::field::{CodeForm, Codes, Field, Floats, OnField, stride};
use crate::gathered::Gathered;
use crate::halves::Halves;
use crate::kernel;
use crate::quantizer::Quantizer;
use crate::segment::{Coded, Short};
use crate::types::{Distance, Quantization};
use crate::validate::Space;

use super::Haste;
use super::kept::Kept;

/// Nodes: rows of distinct vectors.
pub(super) struct Nodes<'a> {
    rows: &'a Gathered<'a>,
    /// The row of each node.
    of: &'a [u32],
    /// A graph that some of them have already.
    kept: Option<Kept<'a>>,
    /// Their codes, if those rank well.
    coded: Option<Coded>,
    /// Under inner products, what each node lacks to the longest one's
    /// length; else empty.
    missing: Vec<f32>,
    /// The square of that length.
    square: f32,
}

impl<'a> Nodes<'a> {
    pub fn new(rows: &'a Gathered<'a>, of: &'a [u32], haste: Haste) -> Self {
        let mut nodes = Self {
            rows,
            of,
            kept: Kept::find(rows, of, haste),
            coded: None,
            missing: Vec::new(),
            square: 0.0,
        };
        if rows.space.distance == Distance::Dot {
            let lengths: Vec<f64> = of
                .par_iter()
                .map(|row| kernel::norm(rows.vector(*row as usize)))
                .collect();
            let longest = lengths.iter().copied().fold(0.0, f64::max);
            let lacks = |length: &f64| (longest.powi(2) - length.powi(2)).max(0.0).sqrt() as f32;
            nodes.missing = lengths.iter().map(lacks).collect();
            nodes.square = longest.powi(2) as f32;
        }
        let coded = nodes.encode();
        if nodes.ranks_well(&coded.field(rows.space.distance)) {
            nodes.coded = Some(coded);
        }
        nodes
    }

    /// A graph that the first of them have already.
    pub fn kept(&self) -> Option<&Kept<'a>> {
        self.kept.as_ref()
    }

    pub fn len(&self) -> usize {
        self.of.len()
    }

    /// A node's vector as it came.
    pub fn vector(&self, node: usize) -> &'a [f32] {
        self.rows.vector(self.of[node] as usize)
    }

    pub fn distance(&self) -> Distance {
        self.rows.space.distance
    }

    /// What a node lacks to the longest one's length, under inner products.
    pub fn missing(&self, node: usize) -> Option<f32> {
        self.missing.get(node).copied()
    }

    /// A node's vector as it is compared: under cosine of unit length.
    pub fn directed(&self, node: usize) -> Cow<'a, [f32]> {
        let vector = self.vector(node);
        match self.distance() {
            Distance::L2 | Distance::Dot => Cow::Borrowed(vector),
            Distance::Cosine => {
                let scale = self.rows.scale(self.of[node] as usize);
                Cow::Owned(vector.iter().map(|x| x * scale).collect())
            }
        }
    }

    fn encode(&self) -> Coded {
        let dimension = self.rows.space.dimension;
        let quantizer = Quantizer::fit(dimension, self.len(), |node| self.directed(node));
        let stride = quantizer.stride();
        let mut codes = vec![0; self.len() * stride];
        codes
            .par_chunks_mut(stride)
            .enumerate()
            .for_each(|(node, codes)| {
                give_way_at(node);
                quantizer.encode(&self.directed(node), codes);
            });
        let bias = match self.distance() {
            Distance::L2 => codes
                .par_chunks(stride)
                .map(|codes| quantizer.square(codes))
                .collect(),
            Distance::Cosine | Distance::Dot => Vec::new(),
        };
        Coded {
            quantizer,
            codes: codes.into(),
            bias: bias.into(),
        }
    }

    /// Whether the nodes in another form are found among a sample as by their vectors.
    fn ranks_well(&self, field: &impl Field) -> bool {
        const SAMPLE: usize = 1024;
        const QUERIES: usize = 32;
        const NEAREST: usize = 10;
        const ENOUGH: f64 = 0.85;
        let sampled = self.len().min(SAMPLE);
        if sampled <= NEAREST {
            return true;
        }
        let sample: Vec<u32> = (0..sampled)
            .map(|i| (i * self.len() / sampled) as u32)
            .collect();
        let mut found = 0;
        let mut scores = vec![0.0; sampled];
        for query in sample.iter().step_by(sampled.div_ceil(QUERIES)) {
            give_way();
            let vector = self.vector(*query as usize);
            let exact =
                |node: &u32| kernel::exact(self.distance(), vector, self.vector(*node as usize));
            let mut truth: Vec<(f64, u32)> = sample.iter().map(|n| (exact(n), *n)).collect();
            truth.select_nth_unstable_by(NEAREST, |a, b| a.0.total_cmp(&b.0));
            let truth: HashSet<u32> = truth[..NEAREST].iter().map(|(_, node)| *node).collect();
            let query = field.query(&self.directed(*query as usize));
            field.scores(&query, &sample, &mut scores);
            let mut ranked: Vec<(f32, u32)> =
                scores.iter().copied().zip(sample.iter().copied()).collect();
            ranked.select_nth_unstable_by(NEAREST, |a, b| a.0.total_cmp(&b.0));
            found += ranked[..NEAREST]
                .iter()
                .filter(|(_, node)| truth.contains(node))
                .count();
        }
        let queries = sampled.div_ceil(sampled.div_ceil(QUERIES));
        found as f64 >= ENOUGH * (queries * NEAREST) as f64
    }

    /// Does some work on the nodes as a field.
    pub fn with_field<W: OnField>(&self, work: W) -> W::Output {
        if let Some(coded) = &self.coded {
            return match self.distance() {
                distance @ (Distance::L2 | Distance::Cosine) => work.run(&coded.field(distance)),
                Distance::Dot => {
                    let form = CodeForm::Sphere {
                        square: self.square,
                    };
                    let (quantizer, codes) = (&coded.quantizer, &coded.codes);
                    work.run(&Codes::new(quantizer, codes, &self.missing, form))
                }
            };
        }
        let stride = stride(self.rows.space.dimension);
        let mut matrix = vec![0.0; self.len() * stride];
        for (node, row) in matrix.chunks_mut(stride).enumerate() {
            let vector = self.directed(node);
            row[..vector.len()].copy_from_slice(&vector);
        }
        match self.distance() {
            Distance::L2 => work.run(&Floats::squares(&matrix, stride)),
            Distance::Cosine => work.run(&Floats::angles(&matrix, stride, &[])),
            Distance::Dot => work.run(&Floats::sphere(&matrix, stride, &self.missing, self.square)),
        }
    }

    /// The nodes in another order and in a form to search them by, if that ranks well.
    pub fn into_short(self, quantization: Quantization, order: &[u32]) -> Option<Short> {
        match quantization {
            Quantization::None => None,
            Quantization::Int8 => {
                let coded = self.coded?;
                Some(Short::Codes(coded.ordered(order)))
            }
            Quantization::F16 => {
                let Space {
                    dimension,
                    distance,
                } = self.rows.space;
                let halves = Halves::of(dimension, self.len(), |node| self.directed(node));
                let stride = stride(dimension);
                let good = self.ranks_well(&halves.floats(distance, stride));
                good.then(|| Short::Halves(halves.ordered(order, stride)))
            }
        }
    }
}
