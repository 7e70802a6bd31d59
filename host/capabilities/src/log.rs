//! The `log` interface: a plugin's lines in the host's log.

use std::fmt;

use lakehouse_runtime::{Capability, Extensions, PluginSpec, State};
use tracing::Level;
use wasmtime::component::{HasData, Linker};

use crate::bindings::log as wit;

/// What `tracing` filters know the lines of plugins by.
const TARGET: &str = "lakehouse::plugin";
/// Bytes of a message, a field's name or its value that are kept.
const MAX_TEXT: usize = 8 << 10;
/// Fields of a line that are kept.
const MAX_FIELDS: usize = 32;

/// Structured logging for plugins, under their names.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogCapability;

impl Capability for LogCapability {
    fn name(&self) -> &'static str {
        "log"
    }

    fn version(&self) -> Option<&str> {
        Some(crate::version())
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &["lakehouse:plugin/log"]
    }

    fn needs_grant(&self) -> bool {
        false
    }

    fn prepare(&self, _spec: &PluginSpec, _ext: &mut Extensions) -> Result<(), String> {
        Ok(())
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        wit::add_to_linker::<State, HasLog>(linker, |state| View(state))
    }
}

struct HasLog;

impl HasData for HasLog {
    type Data<'a> = View<'a>;
}

struct View<'a>(&'a State);

/// A macro because `tracing` wants the level when it compiles.
macro_rules! at_level {
    ($level:expr, $action:ident ! ($($arguments:tt)*)) => {
        match $level {
            wit::Level::Trace => tracing::$action!(target: TARGET, Level::TRACE, $($arguments)*),
            wit::Level::Debug => tracing::$action!(target: TARGET, Level::DEBUG, $($arguments)*),
            wit::Level::Info => tracing::$action!(target: TARGET, Level::INFO, $($arguments)*),
            wit::Level::Warn => tracing::$action!(target: TARGET, Level::WARN, $($arguments)*),
            wit::Level::Error => tracing::$action!(target: TARGET, Level::ERROR, $($arguments)*),
        }
    };
}

impl wit::Host for View<'_> {
    fn enabled(&mut self, level: wit::Level) -> wasmtime::Result<bool> {
        Ok(at_level!(level, enabled!()))
    }

    fn write(
        &mut self,
        level: wit::Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        let length = fields
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .fold(message.len(), usize::saturating_add);
        if !at_level!(level, enabled!()) || !self.0.may_log(length) {
            return Ok(());
        }
        let plugin = self.0.plugin().name.as_str();
        let message = clip(&message);
        lakehouse_trace::enter(self.0.cause().cloned(), || {
            if fields.is_empty() {
                at_level!(level, event!(plugin, "{message}"));
            } else {
                let fields = Fields(&fields);
                at_level!(level, event!(plugin, %fields, "{message}"));
            }
        });
        Ok(())
    }
}

/// Named values as `name=value`, values in quotes where they need them.
struct Fields<'a>(&'a [(String, String)]);

impl fmt::Display for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().take(MAX_FIELDS).enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{}=", clip(name).escape_debug())?;
            let value = clip(value);
            let plain = !value.is_empty()
                && !value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"');
            if plain {
                f.write_str(value)?;
            } else {
                write!(f, "{value:?}")?;
            }
        }
        Ok(())
    }
}

fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_read_unambiguously() {
        let fields = [
            ("rows".to_owned(), "3".to_owned()),
            ("file".to_owned(), "a b\n".to_owned()),
            ("none".to_owned(), String::new()),
        ];
        assert_eq!(
            Fields(&fields).to_string(),
            r#"rows=3 file="a b\n" none="""#
        );
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = "ü".repeat(MAX_TEXT);
        assert_eq!(clip(&text).len(), MAX_TEXT);
        let text = format!("x{text}");
        assert_eq!(clip(&text).len(), MAX_TEXT - 1);
    }
}
