//! Strategies by name.

use anyhow::{Context, Result};
use search::strategies::StrategyConfig;

/// Names and the settings they stand for.
const NAMED: [(&str, &str); 10] = [
    ("random", r#"{"random":{}}"#),
    ("evolution", r#"{"evolution":{}}"#),
    ("ridgeEvolution", r#"{"evolution":{"guide":"ridge"}}"#),
    ("regularisedEvolution", r#"{"evolution":{"guide":"none"}}"#),
    ("mnasnet", r#"{"mnasnet":{}}"#),
    ("mnasnetHard", r#"{"mnasnet":{"alpha":0.0,"beta":-1.0}}"#),
    ("proxyless", r#"{"proxyless":{}}"#),
    ("proxylessFull", r#"{"proxyless":{"gradient":"full"}}"#),
    ("fbnet", r#"{"fbnet":{}}"#),
    ("compoundScaling", r#"{"compoundScaling":{}}"#),
];

/// A strategy as asked for, with the name it goes by in the output.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) config: StrategyConfig,
}

pub(crate) fn strategies(text: &str) -> Result<Vec<Named>> {
    if text == "all" {
        return NAMED.iter().map(|(name, _)| one(name)).collect();
    }
    // Settings contain commas of their own.
    if text.trim_start().starts_with('{') {
        return Ok(vec![one(text)?]);
    }
    text.split(',').map(one).collect()
}

fn one(text: &str) -> Result<Named> {
    let known = NAMED.iter().find(|(name, _)| *name == text);
    let settings = known.map_or(text, |(_, settings)| settings);
    let config = serde_json::from_str(settings).with_context(|| {
        let names: Vec<_> = NAMED.iter().map(|(name, _)| *name).collect();
        format!(
            "no strategy {text:?}; there are {}, or one's settings as JSON",
            names.join(", ")
        )
    })?;
    Ok(Named {
        name: text.to_owned(),
        config,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_for_settings() {
        assert_eq!(strategies("all").unwrap().len(), NAMED.len());
        assert_eq!(
            strategies(r#"{"fbnet":{"temperature":4,"cooling":0.9}}"#)
                .unwrap()
                .len(),
            1
        );
        let error = strategies("random,magic").unwrap_err().to_string();
        assert!(
            error.starts_with("no strategy \"magic\"; there are random, evolution"),
            "{error}"
        );
    }
}
