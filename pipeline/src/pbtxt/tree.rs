//! What stands in a text, before anybody knows what it means.

/// A message: its fields in the order of the text, repeated ones several times.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Message {
    pub fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: Name,
    pub value: Value,
    /// Where the name stands, counted from 1.
    pub line: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    Plain(String),
    /// An extension or the type of an Any: what stands between brackets.
    Bracketed(String),
}

impl Name {
    pub fn text(&self) -> &str {
        match self {
            Self::Plain(name) | Self::Bracketed(name) => name,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Message(Message),
    List(Vec<Value>),
    Text(String),
    Integer(i128),
    Float(f64),
    /// `true`, the name of an enum's value, `inf`, `-nan`...
    Word(String),
}

impl Value {
    /// For errors: what it is.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Message(_) => "a message",
            Self::List(_) => "a list",
            Self::Text(_) => "a text",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Word(_) => "a word",
        }
    }

    /// A list's values, or the value itself: a repeated field may be written either way.
    pub(super) fn each(&self) -> &[Value] {
        match self {
            Self::List(values) => values,
            other => std::slice::from_ref(other),
        }
    }
}
