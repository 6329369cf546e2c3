//! Whether a space makes sense; every message names the field.

use super::preset::Filled;

/// A search space that can't be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("searchSpace.mobileBlocks.{field}: {message}")]
pub struct SpaceError {
    pub field: String,
    pub message: String,
}

pub(super) fn error(field: &str, message: impl Into<String>) -> SpaceError {
    SpaceError {
        field: field.to_owned(),
        message: message.into(),
    }
}

pub(super) fn check(filled: &Filled) -> Result<(), SpaceError> {
    let Filled {
        channels,
        classes,
        resolutions,
        widths,
        depths,
        kernels,
        expands,
        blocks,
        squeeze_excite,
        activation: _,
        stem,
        stages,
        head,
    } = filled;
    within("channels", *channels, 1, 4)?;
    within("classes", *classes, 2, 10_000)?;
    list("resolutions", resolutions, |n| within("resolutions", *n, 16, 512))?;
    list("widths", widths, |w| {
        let fits = (0.1..=4.0).contains(w);
        if fits {
            Ok(())
        } else {
            Err(error("widths", format!("{w} is not between 0.1 and 4")))
        }
    })?;
    list("depths", depths, |n| within("depths", *n, 1, 8))?;
    list("kernels", kernels, |n| odd("kernels", *n, 3))?;
    list("expands", expands, |n| within("expands", *n, 1, 10))?;
    list("blocks", blocks, |_| Ok(()))?;
    list("squeezeExcite", squeeze_excite, |_| Ok(()))?;
    within("stem.channels", stem.channels, 4, 512)?;
    odd("stem.kernel", stem.kernel, 1)?;
    within("stem.stride", stem.stride, 1, 4)?;
    within("head.channels", head.channels, 4, 8192)?;
    if stages.is_empty() || stages.len() > 12 {
        return Err(error(
            "stages",
            format!("{} stages: 1 to 12 are allowed", stages.len()),
        ));
    }
    for (index, stage) in stages.iter().enumerate() {
        within(&format!("stages[{index}].channels"), stage.channels, 4, 4096)?;
        within(&format!("stages[{index}].stride"), stage.stride, 1, 4)?;
    }
    Ok(())
}

fn within(field: &str, value: u32, least: u32, most: u32) -> Result<(), SpaceError> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(error(field, format!("{value} is not between {least} and {most}")))
    }
}

fn odd(field: &str, value: u32, least: u32) -> Result<(), SpaceError> {
    if value % 2 == 1 && (least..=7).contains(&value) {
        Ok(())
    } else {
        Err(error(
            field,
            format!("{value} is no odd number from {least} to 7"),
        ))
    }
}

fn list<T: PartialEq>(
    field: &str,
    items: &[T],
    each: impl Fn(&T) -> Result<(), SpaceError>,
) -> Result<(), SpaceError> {
    if items.is_empty() || items.len() > 8 {
        return Err(error(
            field,
            format!("{} values: 1 to 8 are allowed", items.len()),
        ));
    }
    for (index, item) in items.iter().enumerate() {
        each(item)?;
        if items[..index].contains(item) {
            return Err(error(field, format!("value {} stands there twice", index + 1)));
        }
    }
    Ok(())
}
