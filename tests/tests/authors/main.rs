//! What someone who writes plugins does and sees.

mod new;
mod panics;
mod shell;
mod tour;
