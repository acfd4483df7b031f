//! The log: one line for each thing, to standard error.

use std::fmt::Write as _;
use std::io::Write;

use env_logger::{Builder, Env};
use log::kv::{Error, Key, Value, VisitSource};
use serde_json::{Map, json};

use crate::args::LogFormat;

/// Starts logging. RUST_LOG sets the level; without it, what an operator needs.
pub(crate) fn start(format: LogFormat) {
    let mut builder = Builder::from_env(Env::default().default_filter_or("info"));
    builder.format_timestamp_micros();
    builder.format_key_values(|out, fields| {
        let mut text = Text(String::new());
        let _ = fields.visit(&mut text);
        out.write_all(text.0.as_bytes())
    });
    if format == LogFormat::Json {
        builder.format(|out, record| {
            let mut line = Map::new();
            line.insert("time".to_owned(), out.timestamp_micros().to_string().into());
            line.insert("level".to_owned(), record.level().as_str().to_ascii_lowercase().into());
            line.insert("target".to_owned(), record.target().into());
            line.insert("message".to_owned(), record.args().to_string().into());
            let _ = record.key_values().visit(&mut Fields(&mut line));
            writeln!(out, "{}", json!(line))
        });
    }
    builder.init();
}

/// Fields as ` key=value`, with values of several words in quotes.
struct Text(String);

impl<'kvs> VisitSource<'kvs> for Text {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let value = value.to_string();
        let quoted = if value.contains(' ') { format!("{value:?}") } else { value };
        Ok(write!(self.0, " {key}={quoted}")?)
    }
}

/// Fields as members of an object.
struct Fields<'a>(&'a mut Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let number = value.to_u64().map(serde_json::Value::from);
        self.0.insert(key.to_string(), number.unwrap_or_else(|| value.to_string().into()));
        Ok(())
    }
}
