//! Revisions: the resolved content of an EdgePipeline, named by its hash and never changed.

use std::collections::BTreeMap;

use pipeline::spec::GraphSpec;
use protocol::desired::{ModelRef, Objectives};
use protocol::id::Digest;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use sqlx::types::Json;

use super::StoreError;

/// Everything that makes a device run differently, and nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    pub graph: GraphSpec,
    pub objectives: Objectives,
    pub models: BTreeMap<String, Models>,
}

/// The file behind one model name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Models {
    /// The same for every device.
    Every(ModelRef),
    /// By device class; other classes have none.
    ByClass(BTreeMap<String, ModelRef>),
}

impl Content {
    /// Name of the revision: the start of the hash of its text.
    pub fn revision(&self) -> Result<String, serde_json::Error> {
        let digest = Digest::of(&serde_json::to_vec(self)?);
        Ok(digest.as_str().chars().take(16).collect())
    }

    /// None: the class lacks a model.
    pub fn models_for(&self, class: &str) -> Option<BTreeMap<String, ModelRef>> {
        let model = |models: &Models| match models {
            Models::Every(model) => Some(model.clone()),
            Models::ByClass(classes) => classes.get(class).cloned(),
        };
        self.models
            .iter()
            .map(|(name, models)| Some((name.clone(), model(models)?)))
            .collect()
    }
}

/// True when it is new.
pub async fn record(
    conn: &mut PgConnection,
    pipeline: &str,
    revision: &str,
    content: &Content,
) -> Result<bool, StoreError> {
    let sql =
        "INSERT INTO revisions (pipeline, revision, content) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let done = sqlx::query(sql)
        .bind(pipeline)
        .bind(revision)
        .bind(Json(content))
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

pub async fn get(
    conn: &mut PgConnection,
    pipeline: &str,
    revision: &str,
) -> Result<Option<Content>, StoreError> {
    let sql = "SELECT content FROM revisions WHERE pipeline = $1 AND revision = $2";
    let row: Option<serde_json::Value> = sqlx::query_scalar(sql)
        .bind(pipeline)
        .bind(revision)
        .fetch_optional(conn)
        .await?;
    row.map(serde_json::from_value)
        .transpose()
        .map_err(|e| StoreError::Corrupt {
            table: "revisions",
            reason: format!("{pipeline} {revision}: {e}"),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(bytes: &[u8]) -> ModelRef {
        ModelRef {
            sha256: Digest::of(bytes),
            size: bytes.len() as u64,
            url: "/blobs/x".into(),
        }
    }

    fn content(models: &[(&str, Models)]) -> Content {
        Content {
            graph: GraphSpec::default(),
            objectives: Objectives::default(),
            models: models
                .iter()
                .map(|(name, m)| ((*name).to_owned(), m.clone()))
                .collect(),
        }
    }

    #[test]
    fn name_follows_the_content() {
        let a = content(&[("dish", Models::Every(model(b"a")))]);
        let b = content(&[("dish", Models::Every(model(b"b")))]);
        assert_eq!(a.revision().unwrap(), a.clone().revision().unwrap());
        assert_ne!(a.revision().unwrap(), b.revision().unwrap());
        let again: Content = serde_json::from_value(serde_json::to_value(&a).unwrap()).unwrap();
        assert_eq!(again.revision().unwrap(), a.revision().unwrap());
    }

    #[test]
    fn a_class_needs_every_model() {
        let by_class = Models::ByClass([("pi4".to_owned(), model(b"a"))].into());
        let content = content(&[("dish", by_class), ("people", Models::Every(model(b"b")))]);
        assert_eq!(content.models_for("pi4").unwrap()["dish"], model(b"a"));
        assert!(content.models_for("pi5").is_none());
    }
}
