//! A setting that can't be, found before anything is searched: names the field, and what it may be.

/// Field in the spelling of the custom resource, for instance `strategy.fbnet.cooling`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct SettingError {
    pub field: String,
    pub message: String,
}

impl SettingError {
    pub(crate) fn new(field: &str, message: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            message: message.into(),
        }
    }
}

/// Not a number is in no range.
pub(crate) fn within(field: &str, value: f64, least: f64, most: f64) -> Result<(), SettingError> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(SettingError::new(
            field,
            format!("{value} is not from {least} to {most}"),
        ))
    }
}
