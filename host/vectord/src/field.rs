//! How rows compare: with a query, and with each other while a graph is built.

use crate::kernel::{FLOATS, Level, Number, prefetch};
use crate::quantizer::{CodeQuery, Quantizer};
use crate::validate::MAX_NORM;

/// Bytes of a row asked for ahead; the processor itself fetches what follows.
const AHEAD: usize = 1024;

/// Rows that can be scored against a probe; a lower score is nearer.
pub(crate) trait Field: Sync {
    /// What rows are compared with.
    type Probe: Default + Send;

    /// How many rows there are.
    fn rows(&self) -> usize;

    /// A probe of a query, of unit length under angles.
    fn query(&self, vector: &[f32]) -> Self::Probe;

    /// Points a probe at a row. Scores are then not negative but for rounding,
    /// the same from either side, and comparable between probes.
    fn aim(&self, row: u32, probe: &mut Self::Probe);

    /// Scores some rows.
    fn scores(&self, probe: &Self::Probe, rows: &[u32], out: &mut [f32]);

    /// Asks for a row to be brought near.
    fn prefetch(&self, row: u32);
}

/// Work that any field will do for.
pub(crate) trait OnField {
    type Output;

    /// Does it.
    fn run<F: Field>(self, field: &F) -> Self::Output;
}

/// Rows of floats, zeros at the end of each up to a multiple of [`FLOATS`].
#[derive(Debug)]
pub(crate) struct Floats<'a, T = f32> {
    level: Level,
    matrix: &'a [T],
    stride: usize,
    form: Form<'a>,
    /// How many times what they stand for the rows are.
    scale: f32,
}

/// How a row's score follows from its products with the probe.
#[derive(Debug)]
enum Form<'a> {
    /// Squared Euclidean distance.
    Squares,
    /// Less the inner product, rows of length one.
    Unit,
    /// Less the inner product times the row's scale.
    Scaled(&'a [f32]),
    /// Less the inner product, and in building less that of what each row
    /// lacks to a common length, so that all of them lie on a sphere.
    Sphere { missing: &'a [f32], square: f32 },
}

/// A query or a row among [`Floats`].
#[derive(Debug, Default)]
pub(crate) struct FloatProbe {
    values: Vec<f32>,
    /// Added to every score.
    constant: f32,
    /// Times what a row lacks, taken from its score.
    missing: f32,
}

/// Floats of a row, padded.
pub(crate) fn stride(dimension: usize) -> usize {
    dimension.next_multiple_of(FLOATS)
}

impl<'a, T: Number> Floats<'a, T> {
    fn new(matrix: &'a [T], stride: usize, form: Form<'a>) -> Self {
        Self {
            level: Level::best(),
            matrix,
            stride,
            form,
            scale: 1.0,
        }
    }

    /// Of rows that are so many times what they stand for. Scores are then
    /// of that scale too.
    pub fn of_scale(self, scale: f32) -> Self {
        Self { scale, ..self }
    }

    /// By squared Euclidean distance.
    pub fn squares(matrix: &'a [T], stride: usize) -> Self {
        Self::new(matrix, stride, Form::Squares)
    }

    /// By the angle; `scales` are one over the rows' lengths, empty if all of
    /// them are one.
    pub fn angles(matrix: &'a [T], stride: usize, scales: &'a [f32]) -> Self {
        let form = match scales {
            [] => Form::Unit,
            _ => Form::Scaled(scales),
        };
        Self::new(matrix, stride, form)
    }

    /// By the inner product.
    pub fn products(matrix: &'a [T], stride: usize) -> Self {
        Self::new(matrix, stride, Form::Unit)
    }

    /// By the inner product, comparable between rows.
    pub fn sphere(matrix: &'a [T], stride: usize, missing: &'a [f32], square: f32) -> Self {
        Self::new(matrix, stride, Form::Sphere { missing, square })
    }

    fn row(&self, row: u32) -> &'a [T] {
        let start = row as usize * self.stride;
        &self.matrix[start..start + self.stride]
    }
}

impl<T: Number> Field for Floats<'_, T> {
    type Probe = FloatProbe;

    fn rows(&self) -> usize {
        self.matrix.len() / self.stride
    }

    fn query(&self, vector: &[f32]) -> FloatProbe {
        /// As far as vectors go: squares of more would not be finite.
        const FAR: f32 = MAX_NORM as f32;
        let mut values = Vec::with_capacity(self.stride);
        let scaled = vector.iter().map(|value| value * self.scale);
        values.extend(scaled.map(|value| value.clamp(-FAR, FAR)));
        values.resize(self.stride, 0.0);
        FloatProbe {
            values,
            constant: 0.0,
            missing: 0.0,
        }
    }

    fn aim(&self, row: u32, probe: &mut FloatProbe) {
        probe.values.clear();
        let values = self.row(row).iter();
        probe.values.extend(values.map(|value| value.widened()));
        probe.missing = 0.0;
        probe.constant = 0.0;
        match &self.form {
            Form::Squares => {}
            Form::Unit => probe.constant = self.scale * self.scale,
            Form::Scaled(scales) => {
                probe.constant = 1.0;
                let scale = scales[row as usize];
                probe.values.iter_mut().for_each(|value| *value *= scale);
            }
            Form::Sphere { missing, square } => {
                probe.constant = *square;
                probe.missing = missing[row as usize];
            }
        }
    }

    #[inline]
    fn scores(&self, probe: &FloatProbe, rows: &[u32], out: &mut [f32]) {
        if let Form::Squares = self.form {
            T::squares(self.level, &probe.values, self.matrix, rows, out);
            return;
        }
        T::dots(self.level, &probe.values, self.matrix, rows, out);
        match &self.form {
            Form::Squares | Form::Unit => {
                for out in out {
                    *out = probe.constant - *out;
                }
            }
            Form::Scaled(scales) => {
                for (row, out) in rows.iter().zip(out) {
                    *out = probe.constant - *out * scales[*row as usize];
                }
            }
            Form::Sphere { missing, .. } => {
                for (row, out) in rows.iter().zip(out) {
                    let rest = probe.missing * missing[*row as usize];
                    *out = probe.constant - *out - rest;
                }
            }
        }
    }

    #[inline]
    fn prefetch(&self, row: u32) {
        let values = self.row(row);
        prefetch(&values[..values.len().min(AHEAD / size_of::<T>())]);
        if let Form::Scaled(scales) = &self.form {
            prefetch(std::slice::from_ref(&scales[row as usize]));
        }
    }
}

/// Rows as 8-bit codes.
#[derive(Debug)]
pub(crate) struct Codes<'a> {
    level: Level,
    quantizer: &'a Quantizer,
    codes: &'a [i8],
    /// For squared distances, each row's squared length around the centre;
    /// on a sphere, what each row lacks; else empty.
    bias: &'a [f32],
    form: CodeForm,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum CodeForm {
    /// Squared Euclidean distance.
    Squares,
    /// Less the inner product.
    Products,
    /// As [`Form::Sphere`].
    Sphere { square: f32 },
}

/// A query or a row among [`Codes`]: the score is
/// `constant - factor * product + weight * bias`.
#[derive(Debug, Default)]
pub(crate) struct CodeProbe {
    query: CodeQuery,
    constant: f32,
    factor: f32,
    weight: f32,
    values: Vec<f32>,
}

impl CodeProbe {
    /// How much of a score one more of the product of codes is; 0 if the probe has none.
    pub fn factor(&self) -> f32 {
        self.factor
    }
}

impl<'a> Codes<'a> {
    pub fn new(quantizer: &'a Quantizer, codes: &'a [i8], bias: &'a [f32], form: CodeForm) -> Self {
        Self {
            level: Level::best(),
            quantizer,
            codes,
            bias,
            form,
        }
    }

    fn row(&self, row: u32) -> &'a [i8] {
        let start = row as usize * self.quantizer.stride();
        &self.codes[start..start + self.quantizer.stride()]
    }
}

impl Field for Codes<'_> {
    type Probe = CodeProbe;

    fn rows(&self) -> usize {
        self.codes.len() / self.quantizer.stride()
    }

    fn query(&self, vector: &[f32]) -> CodeProbe {
        let mut probe = CodeProbe::default();
        match self.form {
            CodeForm::Squares => {
                self.quantizer.offset_query(vector, &mut probe.query);
                probe.factor = 2.0 * probe.query.factor;
                probe.weight = 1.0;
            }
            CodeForm::Products | CodeForm::Sphere { .. } => {
                self.quantizer.query(vector, &mut probe.query);
                probe.factor = probe.query.factor;
            }
        }
        probe
    }

    fn aim(&self, row: u32, probe: &mut CodeProbe) {
        self.quantizer.decode(self.row(row), &mut probe.values);
        let (values, query) = (&probe.values, &mut probe.query);
        match self.form {
            CodeForm::Squares => self.quantizer.offset_query(values, query),
            CodeForm::Products | CodeForm::Sphere { .. } => self.quantizer.query(values, query),
        }
        let bias = self.bias.get(row as usize).copied().unwrap_or_default();
        match self.form {
            CodeForm::Squares => {
                probe.constant = bias;
                probe.factor = 2.0 * probe.query.factor;
                probe.weight = 1.0;
            }
            CodeForm::Products => {
                probe.constant = 1.0 - probe.query.constant;
                probe.factor = probe.query.factor;
                probe.weight = 0.0;
            }
            CodeForm::Sphere { square } => {
                probe.constant = square - probe.query.constant;
                probe.factor = probe.query.factor;
                probe.weight = -bias;
            }
        }
    }

    #[inline]
    fn scores(&self, probe: &CodeProbe, rows: &[u32], out: &mut [f32]) {
        let query = &probe.query.codes;
        self.level.code_dots(query, self.codes, rows, out);
        if probe.weight == 0.0 {
            for out in out {
                *out = probe.constant - probe.factor * *out;
            }
        } else {
            for (row, out) in rows.iter().zip(out) {
                let bias = self.bias[*row as usize];
                *out = probe.constant - probe.factor * *out + probe.weight * bias;
            }
        }
    }

    #[inline]
    fn prefetch(&self, row: u32) {
        let codes = self.row(row);
        prefetch(&codes[..codes.len().min(AHEAD)]);
        if let Some(bias) = self.bias.get(row as usize) {
            prefetch(std::slice::from_ref(bias));
        }
    }
}
