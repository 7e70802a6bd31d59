//! Bounds how deep a statement nests, on its tokens.
//!
//! Parser, planner and optimizer walk trees recursively, and a component's stack
//! cannot grow: a tree that is too deep would trap the instance. The parser's
//! own limit sees nested parentheses but not `1 + 1 + 1 + …`, whose tree is as
//! deep as it is long, so the depth is estimated here, from above, before
//! anything is built.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use lakehouse_sdk::http::Problem;

use crate::error::invalid_at;

/// Deepest expression or plan that is let through.
pub const MAX_DEPTH: usize = 400;

/// Deepest nesting of brackets and `CASE` that is let through: what is nested
/// costs more than what is chained, and planning it can take time that doubles
/// with each level.
pub const MAX_NESTING: usize = 100;

/// Parts of a dotted name that cost no depth: catalog, schema, table, column.
const PLAIN_NAME_DOTS: usize = 3;

/// What is open between two brackets, or between `CASE` and `END`.
#[derive(Debug, Default)]
struct Frame {
    case: bool,
    in_from: bool,
    /// Joins, set operations and common table expressions.
    plan: usize,
    or: usize,
    and: usize,
    and_max: usize,
    other: usize,
    other_max: usize,
}

impl Frame {
    fn depth(&self) -> usize {
        1 + self.plan + self.or + self.and_max + self.other_max
    }

    fn operator(&mut self) {
        self.other += 1;
        self.other_max = self.other_max.max(self.other);
    }

    fn and(&mut self) {
        self.other = 0;
        self.and += 1;
        self.and_max = self.and_max.max(self.and);
    }

    fn or(&mut self) {
        self.other = 0;
        self.and = 0;
        self.or += 1;
    }

    /// The next item of a list, or the next clause: a tree of its own.
    fn next_expression(&mut self) {
        self.or = 0;
        self.and = 0;
        self.and_max = 0;
        self.other = 0;
        self.other_max = 0;
    }
}

/// Refuses tokens that can make a tree deeper than [`MAX_DEPTH`].
///
/// # Errors
/// 400 with the place where the limit was crossed.
pub fn check(tokens: &[TokenWithSpan]) -> Result<(), Problem> {
    let mut frames = vec![Frame::default()];
    // Sum over all frames but the last.
    let mut below = 0;
    let mut dots = 0;
    let mut after_as = false;
    for TokenWithSpan { token, span } in tokens {
        if matches!(token, Token::Whitespace(_)) {
            continue;
        }
        if !matches!(token, Token::Word(_) | Token::Period) {
            dots = 0;
        }
        let was_after_as = std::mem::take(&mut after_as);
        let Some(frame) = frames.last_mut() else {
            break;
        };
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                if *token == Token::LBracket {
                    frame.operator();
                }
                if was_after_as {
                    frame.plan += 1;
                }
                below += frame.depth();
                frames.push(Frame::default());
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                below -= close(&mut frames, false);
            }
            Token::Comma => {
                if frame.in_from {
                    frame.plan += 1;
                }
                frame.next_expression();
            }
            Token::Period => {
                dots += 1;
                if dots > PLAIN_NAME_DOTS {
                    frame.operator();
                }
            }
            Token::SemiColon => frame.next_expression(),
            Token::Word(word) if word.quote_style.is_none() => match word.keyword {
                Keyword::CASE => {
                    below += frame.depth();
                    frames.push(Frame {
                        case: true,
                        ..Frame::default()
                    });
                }
                Keyword::END if frame.case => below -= close(&mut frames, true),
                Keyword::AS => after_as = true,
                Keyword::OR => frame.or(),
                Keyword::AND => frame.and(),
                Keyword::NOT
                | Keyword::IS
                | Keyword::IN
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::SIMILAR
                | Keyword::BETWEEN
                | Keyword::COLLATE
                | Keyword::AT => frame.operator(),
                Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT => {
                    frame.plan += 1;
                    frame.in_from = false;
                    frame.next_expression();
                }
                Keyword::JOIN => {
                    frame.plan += 1;
                    frame.next_expression();
                }
                Keyword::FROM => {
                    frame.in_from = true;
                    frame.next_expression();
                }
                Keyword::SELECT
                | Keyword::WHERE
                | Keyword::GROUP
                | Keyword::HAVING
                | Keyword::ORDER
                | Keyword::LIMIT
                | Keyword::QUALIFY
                | Keyword::WINDOW => {
                    frame.in_from = false;
                    frame.next_expression();
                }
                Keyword::ON | Keyword::WHEN | Keyword::THEN | Keyword::ELSE => {
                    frame.next_expression();
                }
                _ => {}
            },
            Token::Word(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::NationalStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::Placeholder(_)
            | Token::EOF => {}
            _ => frame.operator(),
        }
        if frames.len() > MAX_NESTING {
            return Err(invalid_at(
                format!("The statement nests more than {MAX_NESTING} levels of brackets"),
                span.start,
            ));
        }
        if below + frames.last().map_or(0, Frame::depth) > MAX_DEPTH {
            return Err(invalid_at(
                format!("The statement nests more than {MAX_DEPTH} levels"),
                span.start,
            ));
        }
    }
    Ok(())
}

/// Closes the innermost frame; returns what its parent had added to the sum.
fn close(frames: &mut Vec<Frame>, case: bool) -> usize {
    // A bracket also ends a CASE that was never ended; the parser complains later.
    let mut freed = 0;
    while frames.len() > 1 {
        let closed_case = frames.pop().is_some_and(|frame| frame.case);
        freed += frames.last().map_or(0, Frame::depth);
        if closed_case == case {
            break;
        }
    }
    freed
}
