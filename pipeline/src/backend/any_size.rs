//! Opens the sides that a model file fixes: many models that could take frames of any size were written out with the
//! size of one example.
//!
//! ONNX is protobuf (onnx.proto of ONNX 1.16): only what lies on the way to the sides is taken apart, everything else
//! is copied as it is.

/// The file can't be taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it isn't a whole ONNX model")]
pub struct Malformed;

/// ModelProto.graph.
const GRAPH: u64 = 7;
/// GraphProto: weights, inputs, outputs, and what is known of values in between.
const INITIALIZER: u64 = 5;
const INPUT: u64 = 11;
const OUTPUT: u64 = 12;
const VALUE_INFO: u64 = 13;
/// TensorProto.name; ValueInfoProto.name and .type; TypeProto.tensor_type; its shape; that one's dim; Dimension.dim_param.
const TENSOR_NAME: u64 = 8;
const VALUE_NAME: u64 = 1;
const VALUE_TYPE: u64 = 2;
const TENSOR_TYPE: u64 = 1;
const SHAPE: u64 = 2;
const DIM: u64 = 1;
const DIM_PARAM: u64 = 2;

/// The model with open sides: of images (four sides) all but the channels, of everything else the first, the batch.
pub fn with_any_size(model: &[u8]) -> Result<Vec<u8>, Malformed> {
    within(model, GRAPH, open_graph)
}

fn open_graph(graph: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut weights = Vec::new();
    for field in fields(graph)? {
        if let (INITIALIZER, Some(tensor)) = (field.number, field.body) {
            weights.push(text(tensor, TENSOR_NAME)?);
        }
    }
    rewrite(graph, |field| match (field.number, field.body) {
        (INPUT | OUTPUT, Some(value)) => {
            let name = text(value, VALUE_NAME)?;
            // Older files list their weights among the inputs.
            if weights.contains(&name) {
                return Ok(Change::Keep);
            }
            open_value(value, &String::from_utf8_lossy(name)).map(Change::Body)
        }
        // Derived from the fixed sides, hence wrong now; the runtime finds them anew.
        (VALUE_INFO, _) => Ok(Change::Drop),
        _ => Ok(Change::Keep),
    })
}

fn open_value(value: &[u8], name: &str) -> Result<Vec<u8>, Malformed> {
    within(value, VALUE_TYPE, |kind| {
        within(kind, TENSOR_TYPE, |tensor| {
            within(tensor, SHAPE, |shape| open_shape(shape, name))
        })
    })
}

fn open_shape(shape: &[u8], name: &str) -> Result<Vec<u8>, Malformed> {
    let sides = fields(shape)?.iter().filter(|field| field.number == DIM).count();
    let mut side = 0;
    rewrite(shape, |field| {
        side += usize::from(field.number == DIM);
        if field.number != DIM || !(side == 1 || (sides == 4 && side > 2)) {
            return Ok(Change::Keep);
        }
        let mut open = Vec::new();
        put(&mut open, DIM_PARAM, format!("{name}_{side}").as_bytes());
        Ok(Change::Body(open))
    })
}

/// One field of a message, as it stands in the file.
struct Field<'a> {
    number: u64,
    whole: &'a [u8],
    /// What a field with a length holds.
    body: Option<&'a [u8]>,
}

/// What becomes of a field.
enum Change {
    Keep,
    Drop,
    Body(Vec<u8>),
}

fn rewrite<'a>(
    message: &'a [u8],
    mut change: impl FnMut(&Field<'a>) -> Result<Change, Malformed>,
) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::with_capacity(message.len());
    for field in fields(message)? {
        match change(&field)? {
            Change::Keep => out.extend_from_slice(field.whole),
            Change::Drop => {}
            Change::Body(body) => put(&mut out, field.number, &body),
        }
    }
    Ok(out)
}

/// Changes the body of the fields of one number.
fn within(
    message: &[u8],
    number: u64,
    mut change: impl FnMut(&[u8]) -> Result<Vec<u8>, Malformed>,
) -> Result<Vec<u8>, Malformed> {
    rewrite(message, |field| match field.body {
        Some(body) if field.number == number => change(body).map(Change::Body),
        _ => Ok(Change::Keep),
    })
}

fn fields(message: &[u8]) -> Result<Vec<Field<'_>>, Malformed> {
    let mut found = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let start = rest;
        let key = varint(&mut rest)?;
        let body = match key & 7 {
            0 => varint(&mut rest).map(|_| None)?,
            1 => take(&mut rest, 8).map(|_| None)?,
            2 => {
                let length = usize::try_from(varint(&mut rest)?).map_err(|_| Malformed)?;
                Some(take(&mut rest, length)?)
            }
            5 => take(&mut rest, 4).map(|_| None)?,
            _ => return Err(Malformed),
        };
        let whole = start.get(..start.len() - rest.len()).ok_or(Malformed)?;
        found.push(Field {
            number: key >> 3,
            whole,
            body,
        });
    }
    Ok(found)
}

fn text(message: &[u8], number: u64) -> Result<&[u8], Malformed> {
    let found = fields(message)?.into_iter().find(|field| field.number == number);
    Ok(found.and_then(|field| field.body).unwrap_or_default())
}

fn varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first().ok_or(Malformed)?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (taken, after) = rest.split_at_checked(length).ok_or(Malformed)?;
    *rest = after;
    Ok(taken)
}

fn put(out: &mut Vec<u8>, number: u64, body: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_varint(out, body.len() as u64);
    out.extend_from_slice(body);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(parts: &[(u64, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, body) in parts {
            put(&mut out, *number, body);
        }
        out
    }

    fn value(name: &str, sides: usize) -> Vec<u8> {
        let side = [8, 10];
        let shape = message(&vec![(DIM, &side[..]); sides]);
        let tensor = [&[8, 1][..], &message(&[(SHAPE, &shape)])].concat();
        message(&[
            (VALUE_NAME, name.as_bytes()),
            (VALUE_TYPE, &message(&[(TENSOR_TYPE, &tensor)])),
        ])
    }

    #[test]
    fn images_and_batches_are_opened_and_weights_are_not() {
        let weight = message(&[(TENSOR_NAME, b"w")]);
        let parts = [value("x", 4), value("w", 4), value("y", 2)];
        let graph = message(&[
            (INITIALIZER, &weight),
            (INPUT, &parts[0]),
            (INPUT, &parts[1]),
            (OUTPUT, &parts[2]),
            (VALUE_INFO, &parts[2]),
        ]);
        let opened = with_any_size(&message(&[(GRAPH, &graph)])).unwrap();
        let text = String::from_utf8_lossy(&opened);
        for open in ["x_1", "x_3", "x_4", "y_1"] {
            assert!(text.contains(open), "{open}");
        }
        for fixed in ["x_2", "w_", "y_2"] {
            assert!(!text.contains(fixed), "{fixed}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = with_any_size(&bytes);
        }
    }
}
