//! What a request asks of a format.

use super::Fault;

/// The parameters of a request that are not ingest's own.
#[derive(Debug, Clone, Default)]
pub struct Options {
    left: Vec<(String, String)>,
    /// Names that were asked for.
    known: Vec<String>,
}

impl Options {
    pub(super) fn new(pairs: Vec<(String, String)>) -> Self {
        Self {
            left: pairs,
            known: Vec::new(),
        }
    }

    /// Takes out the value of an option, if it was given.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.known.push(name.to_owned());
        let at = self.left.iter().position(|(other, _)| other == name)?;
        Some(self.left.remove(at).1)
    }

    /// Makes sure that every option was taken: a misspelt one must not be ignored.
    ///
    /// # Errors
    /// Names one that was not, and all that could have been.
    pub fn finish(self) -> Result<(), Fault> {
        match self.left.first() {
            None => Ok(()),
            Some((name, _)) if self.known.is_empty() => Err(Fault::new(format!(
                "'{name}' is no option of this format, which has none"
            ))),
            Some((name, _)) => Err(Fault::new(format!(
                "'{name}' is no option of this format; there are {}",
                self.known.join(", ")
            ))),
        }
    }
}
