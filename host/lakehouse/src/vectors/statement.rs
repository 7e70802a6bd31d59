//! Telling queries from other statements, by their words alone.
//!
//! What fills an index must change nothing else, and that is known before the
//! statement runs: a load that dropped a table has no use for an error after it.

/// What a query begins with.
const QUERIES: [&str; 5] = ["SELECT", "WITH", "VALUES", "TABLE", "FROM"];

/// Refuses what is no query; the error has no subject yet.
pub fn check(sql: &str) -> Result<(), String> {
    let mut words = Words(sql);
    let first = words.next().unwrap_or_default();
    let is = |word: &str, keyword: &&str| keyword.eq_ignore_ascii_case(word);
    if !QUERIES.iter().any(|query| is(first, query)) {
        return Err(format!(
            "it must be a query, and so begin with one of {}",
            QUERIES.join(", ")
        ));
    }
    // SELECT INTO makes a table, WITH may stand before INSERT INTO.
    match words.any(|word| is(word, &"INTO")) {
        true => Err("it must be a query, and so INTO may not stand in it".to_owned()),
        false => Ok(()),
    }
}

/// The words of a statement: not what is quoted, and no comments.
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            let first = self.0.chars().next()?;
            let in_word = |c: char| c.is_alphanumeric() || c == '_';
            if in_word(first) {
                let end = self.0.find(|c| !in_word(c)).unwrap_or(self.0.len());
                let (word, rest) = self.0.split_at(end);
                self.0 = rest;
                return Some(word);
            }
            self.0 = match first {
                // A doubled mark is two quotations, one after the other.
                '\'' | '"' | '`' => after(&self.0[1..], first),
                '-' if self.0.starts_with("--") => after(&self.0[2..], '\n'),
                '/' if self.0.starts_with("/*") => after_comment(&self.0[2..]),
                _ => &self.0[first.len_utf8()..],
            };
        }
    }
}

/// What stands behind the next such mark.
fn after(text: &str, mark: char) -> &str {
    text.split_once(mark).map_or("", |(_, rest)| rest)
}

/// What stands behind a comment, in which others may stand.
fn after_comment(mut text: &str) -> &str {
    let mut depth = 1;
    while depth > 0 {
        let Some(at) = text.find(['*', '/']) else {
            return "";
        };
        let (step, length) = match text.as_bytes()[at..] {
            [b'*', b'/', ..] => (-1, 2),
            [b'/', b'*', ..] => (1, 2),
            _ => (0, 1),
        };
        depth += step;
        text = &text[at + length..];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_pass() {
        for sql in [
            "SELECT 1",
            " \n-- DROP\n/* x /* y */ z */ ((select 1))",
            "with a as (select 1) select * from a",
            "VALUES (1)",
            "TABLE t",
            "SELECT 'it''s put INTO', \"into\", `into`, intos FROM into_t -- INTO",
            "SELECT 1 / 2 /* INTO */ * 3 - 4",
        ] {
            assert_eq!(check(sql), Ok(()), "{sql}");
        }
    }

    #[test]
    fn other_statements_do_not() {
        for sql in [
            "",
            "DROP TABLE t",
            "/* SELECT",
            "/* /* */ SELECT 1",
            "-- SELECT",
            "'SELECT' 1",
            "SELECTED",
            "INSERT INTO t SELECT 1",
        ] {
            let why = check(sql).unwrap_err();
            assert!(why.contains("begin with"), "{sql}: {why}");
        }
        for sql in [
            "SELECT * INTO t FROM s",
            "WITH a AS (SELECT 'x' AS b)\ninsert\ninto t SELECT * FROM a",
            "SELECT 'a' 'b'INTO t",
        ] {
            let why = check(sql).unwrap_err();
            assert!(why.contains("INTO"), "{sql}: {why}");
        }
    }
}
