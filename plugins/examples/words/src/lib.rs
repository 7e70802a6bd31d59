//! A plugin for other plugins: it has no route, and exports an interface of its own.

mod bindings {
    wit_bindgen::generate!({ world: "example:words/speaker" });
}

use bindings::exports::example::words::words::{Greeting, Guest, Language};

struct Words;

impl Guest for Words {
    fn greet(name: String, language: Language) -> Result<Greeting, String> {
        let text = match &language {
            Language::English => format!("Hello, {name}!"),
            Language::German => format!("Hallo, {name}!"),
            Language::Other(other) => return Err(format!("nobody here speaks {other}")),
        };
        Ok(Greeting { text, language })
    }
}

bindings::export!(Words with_types_in bindings);
