//! Texts and numbers.

use super::cursor::{Cursor, is_word};
use super::parse::SyntaxError;
use super::tree::Value;

/// One text: quoted pieces that follow one another are joined.
pub(super) fn text(at: &mut Cursor<'_>) -> Result<String, SyntaxError> {
    let line = at.line;
    let mut bytes = Vec::new();
    while let Some(quote @ ('"' | '\'')) = at.peek() {
        at.next();
        quoted(at, quote, &mut bytes)?;
        at.skip();
    }
    String::from_utf8(bytes).map_err(|_| SyntaxError {
        line,
        expected: "text in UTF-8".to_owned(),
        found: "other bytes".to_owned(),
    })
}

fn quoted(at: &mut Cursor<'_>, quote: char, bytes: &mut Vec<u8>) -> Result<(), SyntaxError> {
    loop {
        match at.peek() {
            None | Some('\n') => return Err(at.expected(format!("`{quote}` at the end of the text"))),
            Some('\\') => {
                at.next();
                escape(at, bytes)?;
            }
            Some(c) => {
                at.next();
                if c == quote {
                    return Ok(());
                }
                push(bytes, c);
            }
        }
    }
}

fn escape(at: &mut Cursor<'_>, bytes: &mut Vec<u8>) -> Result<(), SyntaxError> {
    let unknown = at.expected("an escape: one of n r t a b f v \\ ' \" ?, octal digits, x, u or U");
    let plain = match at.peek() {
        Some('n') => b'\n',
        Some('r') => b'\r',
        Some('t') => b'\t',
        Some('a') => 7,
        Some('b') => 8,
        Some('f') => 12,
        Some('v') => 11,
        Some(c @ ('\\' | '\'' | '"' | '?')) => c as u8,
        Some('0'..='7') => {
            let code = digits(at, 8, 3).unwrap_or(u32::MAX);
            bytes.push(u8::try_from(code).map_err(|_| unknown)?);
            return Ok(());
        }
        Some('x' | 'X') => {
            at.next();
            bytes.push(
                digits(at, 16, 2)
                    .and_then(|code| u8::try_from(code).ok())
                    .ok_or(unknown)?,
            );
            return Ok(());
        }
        Some('u') => {
            at.next();
            let code = exactly(at, 4).ok_or_else(|| at.expected("four hexadecimal digits"))?;
            push(bytes, surrogates(at, code).ok_or(unknown)?);
            return Ok(());
        }
        Some('U') => {
            at.next();
            let code = exactly(at, 8).and_then(char::from_u32);
            push(
                bytes,
                code.ok_or_else(|| at.expected("eight hexadecimal digits of a character"))?,
            );
            return Ok(());
        }
        _ => return Err(unknown),
    };
    at.next();
    bytes.push(plain);
    Ok(())
}

/// A character that may be written as two codes.
fn surrogates(at: &mut Cursor<'_>, code: u32) -> Option<char> {
    if !(0xd800..0xdc00).contains(&code) {
        return char::from_u32(code);
    }
    let low = (at.take('\\') && at.take('u'))
        .then(|| exactly(at, 4))
        .flatten()?;
    let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    char::from_u32(0x1_0000 + ((code - 0xd800) << 10) + low)
}

fn exactly(at: &mut Cursor<'_>, count: usize) -> Option<u32> {
    let mut code = 0_u32;
    for _ in 0..count {
        code = code.checked_mul(16)?.checked_add(at.peek()?.to_digit(16)?)?;
        at.next();
    }
    Some(code)
}

/// One digit at least, `most` at most.
fn digits(at: &mut Cursor<'_>, radix: u32, most: usize) -> Option<u32> {
    let mut code = None;
    for _ in 0..most {
        let Some(digit) = at.peek().and_then(|c| c.to_digit(radix)) else {
            break;
        };
        code = Some(code.unwrap_or(0) * radix + digit);
        at.next();
    }
    code
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// A number, or `-inf` and the like.
pub(super) fn number(at: &mut Cursor<'_>) -> Result<Value, SyntaxError> {
    let negative = at.take('-');
    at.skip();
    let wrong = at.expected("a number");
    if let Some(c) = at.peek()
        && c.is_ascii_alphabetic()
    {
        let word = at.take_while(is_word);
        let known = ["inf", "infinity", "nan"]
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known));
        return known
            .then(|| Value::Word(format!("-{}", word.to_ascii_lowercase())))
            .ok_or(wrong);
    }
    let mut word = at.take_while(|c| is_word(c) || c == '.').to_owned();
    let hexadecimal = word.starts_with("0x") || word.starts_with("0X");
    if !hexadecimal
        && word.ends_with(['e', 'E'])
        && let Some(sign @ ('+' | '-')) = at.peek()
    {
        at.next();
        word.push(sign);
        word.push_str(at.take_while(is_word));
    }
    magnitude(&word, negative).ok_or(wrong)
}

fn magnitude(word: &str, negative: bool) -> Option<Value> {
    let sign = if negative { -1 } else { 1 };
    if let Some(digits) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        return u64::from_str_radix(digits, 16)
            .ok()
            .map(|value| Value::Integer(sign * i128::from(value)));
    }
    if word.bytes().all(|byte| byte.is_ascii_digit()) && !word.is_empty() {
        let octal = word.len() > 1 && word.starts_with('0');
        let value = u64::from_str_radix(word, if octal { 8 } else { 10 });
        return match value {
            Ok(value) => Some(Value::Integer(sign * i128::from(value))),
            Err(_) if octal => None,
            // Larger than any whole number: only a float can hold it.
            Err(_) => word
                .parse()
                .ok()
                .map(|value: f64| Value::Float(f64::from(sign as i8) * value)),
        };
    }
    let plain = word.strip_suffix(['f', 'F']).unwrap_or(word);
    let shaped = plain.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && plain.contains(|c: char| c.is_ascii_digit())
        && plain
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    let value: f64 = shaped.then(|| plain.parse().ok()).flatten()?;
    Some(Value::Float(if negative { -value } else { value }))
}
