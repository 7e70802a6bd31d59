//! Counting lines in bytes that come in pieces.

/// Counts `\n`, `\r\n` and lone `\r` as line ends, one each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineCounter {
    line: u64,
    after_cr: bool,
}

impl Default for LineCounter {
    fn default() -> Self {
        Self {
            line: 1,
            after_cr: false,
        }
    }
}

impl LineCounter {
    /// The line that the next byte belongs to, from 1. Between `\r` and `\n` it
    /// is that of what follows both.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Goes past bytes that are neither `\r` nor `\n`.
    #[inline]
    pub(crate) fn text(&mut self) {
        self.after_cr = false;
    }

    /// Goes past one byte that is `\r` or `\n`.
    #[inline]
    pub(crate) fn line_end(&mut self, byte: u8) {
        self.line += u64::from(byte == b'\r' || !self.after_cr);
        self.after_cr = byte == b'\r';
    }

    /// Goes past `bytes`.
    pub(crate) fn advance(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if memchr::memchr(b'\r', bytes).is_none() {
            let ends = memchr::memchr_iter(b'\n', bytes).count() as u64;
            let second_half = self.after_cr && bytes[0] == b'\n';
            self.line += ends - u64::from(second_half);
            self.after_cr = false;
            return;
        }
        for byte in bytes {
            match byte {
                b'\r' => self.line += 1,
                b'\n' if !self.after_cr => self.line += 1,
                _ => {}
            }
            self.after_cr = *byte == b'\r';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_after(pieces: &[&str]) -> u64 {
        let mut lines = LineCounter::default();
        for piece in pieces {
            lines.advance(piece.as_bytes());
        }
        lines.line()
    }

    #[test]
    fn every_kind_of_line_end_counts_once() {
        assert_eq!(line_after(&["a"]), 1);
        assert_eq!(line_after(&["a\nb\n"]), 3);
        assert_eq!(line_after(&["a\r\nb\r\n"]), 3);
        assert_eq!(line_after(&["a\rb\rc"]), 3);
        assert_eq!(line_after(&["a\r\nb\nc\rd"]), 4);
        assert_eq!(line_after(&["\r\r\n\n"]), 4);
    }

    #[test]
    fn a_pair_cut_by_a_chunk_counts_once() {
        assert_eq!(line_after(&["a\r", "\nb"]), 2);
        assert_eq!(line_after(&["a\r", "", "\n", "\n"]), 3);
        assert_eq!(line_after(&["a\r", "b\n"]), 3);
    }
}
