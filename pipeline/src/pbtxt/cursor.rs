//! A place in a text, and what stands there.

use super::parse::SyntaxError;

#[derive(Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a str,
    pub(super) line: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            rest: text.strip_prefix('\u{feff}').unwrap_or(text),
            line: 1,
        }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next()?;
        self.rest = chars.as_str();
        if next == '\n' {
            self.line += 1;
        }
        Some(next)
    }

    pub(super) fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.next();
        }
        found
    }

    pub(super) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.line += taken.matches('\n').count() as u64;
        self.rest = rest;
        taken
    }

    /// Moves on to the next thing that isn't space or a comment.
    pub(super) fn skip(&mut self) {
        loop {
            self.take_while(|c| c.is_ascii_whitespace() || c == '\u{b}');
            if self.peek() != Some('#') {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    pub(super) fn expected(&self, expected: impl Into<String>) -> SyntaxError {
        let found = match self.peek() {
            None => "the end of the text".to_owned(),
            Some(c) if is_word(c) => {
                let word: String = self.rest.chars().take_while(|c| is_word(*c)).take(40).collect();
                format!("`{word}`")
            }
            Some(c) => format!("`{}`", c.escape_debug()),
        };
        SyntaxError {
            line: self.line,
            expected: expected.into(),
            found,
        }
    }
}

pub(super) fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
