//! Lines of bytes that come in pieces.

use super::Fault;

/// Bytes of the longest line.
const LONGEST: usize = 16 << 20;

/// Cuts a body into lines, at `\n` or `\r\n`, wherever its pieces are cut.
#[derive(Debug, Default)]
pub struct Lines {
    /// The beginning of a line whose end is still to come.
    rest: Vec<u8>,
    /// Lines so far.
    count: u64,
}

impl Lines {
    /// Takes bytes, and gives each line that they complete, with its number from 1 and
    /// without its end, to `each`.
    ///
    /// # Errors
    /// A line of more than 16 MiB, and those of `each`.
    pub fn push(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(u64, &[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut pieces = bytes.split(|byte| *byte == b'\n');
        let last = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            self.count += 1;
            if self.rest.is_empty() {
                each(self.count, chomp(piece))?;
            } else {
                self.rest.extend_from_slice(piece);
                each(self.count, chomp(&self.rest))?;
                self.rest.clear();
            }
        }
        self.rest.extend_from_slice(last);
        if self.rest.len() > LONGEST {
            let text = format!("the line is longer than {} MiB", LONGEST >> 20);
            return Err(Fault::new(text).line(self.count + 1));
        }
        Ok(())
    }

    /// Gives the last line to `each`, if it has no end.
    ///
    /// # Errors
    /// Those of `each`.
    pub fn finish(
        &mut self,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if self.rest.is_empty() {
            return Ok(());
        }
        self.count += 1;
        let line = std::mem::take(&mut self.rest);
        each(self.count, chomp(&line))
    }
}

fn chomp(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_a_body_is_cut() {
        let body = b"one\r\n\ntwo three\nfour";
        for size in 1..=body.len() {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            let mut keep = |number: u64, line: &[u8]| {
                found.push((number, line.to_vec()));
                Ok(())
            };
            for piece in body.chunks(size) {
                lines.push(piece, &mut keep).unwrap();
            }
            lines.finish(&mut keep).unwrap();
            let expected: [&[u8]; 4] = [b"one", b"", b"two three", b"four"];
            let expected: Vec<_> = (1..).zip(expected.map(<[u8]>::to_vec)).collect();
            assert_eq!(found, expected, "pieces of {size}");
        }
    }
}
