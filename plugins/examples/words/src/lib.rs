//! A plugin for other plugins: it has no route, and exports an interface of its own. A
//! new version of it serves once it has greeted somebody.

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

fn greets() -> Result<(), String> {
    for language in [Language::English, Language::German] {
        let greeting = Words::greet("Ada".to_owned(), language)?;
        if !greeting.text.contains("Ada") {
            return Err(format!("`{}` greets nobody", greeting.text));
        }
    }
    Ok(())
}

bindings::export!(Words with_types_in bindings);
lakehouse_sdk::export_self_test!(greets);
