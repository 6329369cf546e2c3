//! Measuring ONNX files on a device. The agent knows files and digests, nothing of search spaces.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{BootId, DeviceId, Digest};
use crate::reported::Runtime;

pub const MAX_PROFILE: usize = 4 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileRequest {
    pub version: u32,
    /// Repeated in the answer.
    pub id: String,
    pub files: Vec<ProfileFile>,
    pub plan: MeasurePlan,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileFile {
    pub sha256: Digest,
    #[serde(flatten)]
    pub content: FileContent,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FileContent {
    /// The file itself: small enough for a message, since its weights are constants the runtime folds.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    Onnx(Vec<u8>),
    /// Where to get it, as in a desired document.
    Url { url: String, size: u64 },
}

/// How often to run each file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeasurePlan {
    pub warmup_runs: u32,
    pub min_runs: u32,
    /// Measuring a file goes on until `min_runs` and this long.
    pub min_millis: u32,
    /// How often a disturbed measurement is repeated before it is reported as disturbed.
    pub repeats: u32,
}

impl Default for MeasurePlan {
    fn default() -> Self {
        Self {
            warmup_runs: 10,
            min_runs: 60,
            min_millis: 150,
            repeats: 3,
        }
    }
}

/// Sent once per request when all files are measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileResponse {
    pub version: u32,
    pub id: String,
    pub device: DeviceId,
    pub boot_id: BootId,
    pub runtime: Runtime,
    pub results: Vec<ProfileResult>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileResult {
    pub sha256: Digest,
    #[serde(flatten)]
    pub outcome: ProfileOutcome,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProfileOutcome {
    Measured(Measured),
    /// Why the file can't be run here.
    Failed(String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    pub p50_us: f64,
    pub p95_us: f64,
    pub min_us: f64,
    pub runs: u32,
    /// Still disturbed after all repeats: other load was on the device.
    pub disturbed: bool,
}

/// Latencies measured on one machine, as a file: what `edge-agent measure --out` writes and a search goes by. Files
/// are found by their digest; names are for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileDocument {
    pub version: u32,
    pub runtime: Runtime,
    #[serde(default)]
    pub rows: Vec<ProfiledFile>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<FailedFile>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfiledFile {
    /// Of the file, without its ending.
    pub name: String,
    pub sha256: Digest,
    #[serde(flatten)]
    pub measured: Measured,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedFile {
    pub name: String,
    pub sha256: Digest,
    pub reason: String,
}

impl ProfileDocument {
    /// Takes the place of what was known of the file.
    pub fn put(&mut self, name: &str, sha256: &Digest, outcome: ProfileOutcome) {
        self.rows.retain(|row| row.sha256 != *sha256);
        self.failures.retain(|failed| failed.sha256 != *sha256);
        let (name, sha256) = (name.to_owned(), sha256.clone());
        match outcome {
            ProfileOutcome::Measured(measured) => self.rows.push(ProfiledFile {
                name,
                sha256,
                measured,
            }),
            ProfileOutcome::Failed(reason) => self.failures.push(FailedFile { name, sha256, reason }),
        }
    }
}

fn to_base64<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
    STANDARD.decode(text.as_bytes()).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_one_word_on_each_file() {
        let text =
            r#"{"version":1,"runtime":{"hash":"h","engine":"e","provider":"CPU","threads":1,"cpu":"c"}}"#;
        let mut document: ProfileDocument = serde_json::from_str(text).unwrap();
        let measured = Measured {
            p50_us: 1.0,
            p95_us: 2.0,
            min_us: 0.5,
            runs: 9,
            disturbed: false,
        };
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        document.put("a", &a, ProfileOutcome::Failed("no kernel".into()));
        document.put("b", &b, ProfileOutcome::Measured(measured.clone()));
        document.put("a", &a, ProfileOutcome::Measured(measured));
        document.put("b", &b, ProfileOutcome::Failed("no kernel".into()));
        assert_eq!((document.rows.len(), document.failures.len()), (1, 1));
        assert_eq!((&document.rows[0].sha256, &document.failures[0].sha256), (&a, &b));
        let again: ProfileDocument =
            serde_json::from_str(&serde_json::to_string(&document).unwrap()).unwrap();
        assert_eq!(again, document);
    }

    #[test]
    fn files_travel_inline_or_by_address() {
        let sha256 = Digest::of(b"x");
        for content in [
            FileContent::Onnx(vec![0, 1, 255]),
            FileContent::Url {
                url: "/blobs/x".into(),
                size: 7,
            },
        ] {
            let file = ProfileFile {
                sha256: sha256.clone(),
                content,
            };
            let bytes = crate::to_bytes(&file).unwrap();
            assert_eq!(crate::from_bytes::<ProfileFile>(&bytes, 1000).unwrap(), file);
        }
    }
}
