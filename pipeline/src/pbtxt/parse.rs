//! Reads protobuf's text form into a tree. The language: <https://protobuf.dev/reference/protobuf/textformat-spec/>.

use super::cursor::{Cursor, is_word};
use super::literal::{number, text};
use super::tree::{Field, Message, Name, Value};

/// Messages and lists in one another; protobuf's own parsers stop at 100.
const DEEPEST: usize = 64;

/// Where a text stops to be protobuf's text form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: expected {expected}, found {found}")]
pub struct SyntaxError {
    pub line: u64,
    pub expected: String,
    pub found: String,
}

/// Reads a whole text.
pub fn parse(whole: &str) -> Result<Message, SyntaxError> {
    message(&mut Cursor::new(whole), None, DEEPEST)
}

/// Fields up to the closing mark, or to the end of the text.
fn message(at: &mut Cursor<'_>, close: Option<char>, deeper: usize) -> Result<Message, SyntaxError> {
    let mut fields = Vec::new();
    loop {
        at.skip();
        match (at.peek(), close) {
            (None, None) => return Ok(Message { fields }),
            (Some(c), Some(close)) if c == close => {
                at.next();
                return Ok(Message { fields });
            }
            (Some(c), _) if c.is_ascii_alphabetic() || matches!(c, '_' | '[') => {
                fields.push(field(at, deeper)?);
            }
            (_, None) => return Err(at.expected("the name of a field")),
            (_, Some(close)) => return Err(at.expected(format!("the name of a field or `{close}`"))),
        }
    }
}

fn field(at: &mut Cursor<'_>, deeper: usize) -> Result<Field, SyntaxError> {
    let line = at.line;
    let name = name(at)?;
    at.skip();
    let colon = at.take(':');
    at.skip();
    let value = match at.peek() {
        Some('{' | '<' | '[') => value(at, deeper)?,
        _ if colon => value(at, deeper)?,
        _ => return Err(at.expected(format!("`:` or `{{` after `{}`", name.text()))),
    };
    at.skip();
    let _ = at.take(',') || at.take(';');
    Ok(Field { name, value, line })
}

fn name(at: &mut Cursor<'_>) -> Result<Name, SyntaxError> {
    if !at.take('[') {
        return Ok(Name::Plain(at.take_while(is_word).to_owned()));
    }
    let mut name = String::new();
    loop {
        at.skip();
        let part = at.take_while(|c| is_word(c) || matches!(c, '.' | '/' | '-' | '%'));
        name.push_str(part);
        at.skip();
        if part.is_empty() || at.peek() == Some(']') {
            break;
        }
    }
    if name.is_empty() {
        return Err(at.expected("the name of an extension or a type"));
    }
    if at.take(']') {
        Ok(Name::Bracketed(name))
    } else {
        Err(at.expected("`]`"))
    }
}

fn value(at: &mut Cursor<'_>, deeper: usize) -> Result<Value, SyntaxError> {
    let Some(deeper) = deeper.checked_sub(1) else {
        return Err(SyntaxError {
            line: at.line,
            expected: format!("at most {DEEPEST} messages and lists in one another"),
            found: "one more".to_owned(),
        });
    };
    match at.peek() {
        Some('{') => {
            at.next();
            message(at, Some('}'), deeper).map(Value::Message)
        }
        Some('<') => {
            at.next();
            message(at, Some('>'), deeper).map(Value::Message)
        }
        Some('[') => list(at, deeper),
        Some('"' | '\'') => text(at).map(Value::Text),
        Some(c) if c.is_ascii_digit() || matches!(c, '-' | '.') => number(at),
        Some(c) if c.is_ascii_alphabetic() || c == '_' => Ok(Value::Word(at.take_while(is_word).to_owned())),
        _ => Err(at.expected("a value")),
    }
}

fn list(at: &mut Cursor<'_>, deeper: usize) -> Result<Value, SyntaxError> {
    at.next();
    let mut values = Vec::new();
    loop {
        at.skip();
        if values.is_empty() && at.take(']') {
            return Ok(Value::List(values));
        }
        values.push(value(at, deeper)?);
        at.skip();
        if at.take(']') {
            return Ok(Value::List(values));
        }
        if !at.take(',') {
            return Err(at.expected("`,` or `]`"));
        }
    }
}
