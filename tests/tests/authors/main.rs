//! What someone who writes plugins does and sees.

mod examples;
mod new;
mod panics;
mod shell;
mod templates;
mod tour;
mod versions;
