//! A format that does what the option `lie` says.

use lakehouse_sdk::export::format::exports::lakehouse::plugin::ingest_format::{
    Decoder, Guest, GuestDecoder,
};
use lakehouse_sdk::format_types::FormatError;

use crate::{Liar, lies};

type Rows = Result<Vec<Vec<u8>>, FormatError>;

impl Guest for Liar {
    type Decoder = Lie;

    fn open(
        options: Vec<(String, String)>,
        _table: Option<Vec<u8>>,
    ) -> Result<Decoder, FormatError> {
        let lie = options.into_iter().find(|(name, _)| name == "lie");
        Ok(Decoder::new(Lie(lie
            .map(|(_, lie)| lie)
            .unwrap_or_default())))
    }
}

pub(crate) struct Lie(String);

impl GuestDecoder for Lie {
    fn push(&self, _bytes: Vec<u8>) -> Rows {
        match self.0.as_str() {
            "cut" => {
                let honest = lies::texts(10).map_err(FormatError::Failed)?;
                Ok(vec![honest[..honest.len() / 2].to_vec()])
            }
            "noise" => Ok(vec![lies::noise()]),
            "panic" => panic!("a format that panics"),
            "spin" => loop {
                std::hint::spin_loop();
            },
            _ => Ok(Vec::new()),
        }
    }

    fn finish(&self) -> Rows {
        match self.0.as_str() {
            "late" => panic!("a format that panics at the end"),
            _ => Ok(Vec::new()),
        }
    }
}
