//! The state of a training as bytes: enough to go on anywhere as if it had never stopped.
//!
//! Layout: `HZCK0001`, length of the header (u64), header (JSON), numbers (f32) in the header's order, SHA-256
//! of all before; little-endian.

use export::Tensor;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::learner::{AVERAGE, MOMENTUM};

const MAGIC: &[u8; 8] = b"HZCK0001";
const HASH: usize = 32;

#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    pub place: Place,
    /// By name; momentum under `momentum:NAME`.
    pub tensors: Vec<(String, Tensor)>,
}

/// What is trained and how far it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    pub architecture: String,
    pub seed: u64,
    pub epochs: u32,
    /// Steps done, over all epochs.
    pub step: usize,
    pub seconds: f64,
    /// What a supernet's search has found so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<crate::supernet::Progress>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("not a checkpoint of this version")]
    Foreign,
    #[error("the checkpoint is cut off or its checksum is wrong")]
    Broken,
    #[error("the checkpoint is of {found}, not of {wanted}")]
    OtherTraining { found: String, wanted: String },
}

#[derive(Serialize, Deserialize)]
struct Header {
    place: Place,
    tensors: Vec<(String, Vec<usize>)>,
}

impl Checkpoint {
    /// The network as it is to be judged and exported, by name: its average where one was kept.
    pub fn into_network(self) -> Vec<(String, Tensor)> {
        let Self { tensors, place: _ } = self;
        let (averages, mut network): (Vec<_>, Vec<_>) = tensors
            .into_iter()
            .partition(|(name, _)| name.starts_with(AVERAGE));
        network.retain(|(name, _)| !name.starts_with(MOMENTUM));
        for (name, average) in averages {
            let is_it =
                |(found, _): &&mut (String, Tensor)| name.strip_prefix(AVERAGE) == Some(found.as_str());
            if let Some((_, tensor)) = network.iter_mut().find(is_it) {
                *tensor = average;
            }
        }
        network
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { place, tensors } = self;
        let shapes = tensors
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.shape.clone()))
            .collect();
        let header = Header {
            place: place.clone(),
            tensors: shapes,
        };
        // Texts, numbers and lists always have a JSON form.
        let header = serde_json::to_vec(&header).unwrap_or_default();
        let mut bytes = MAGIC.to_vec();
        bytes.extend((header.len() as u64).to_le_bytes());
        bytes.extend(header);
        for (_, tensor) in tensors {
            bytes.extend(tensor.data.iter().flat_map(|value| value.to_le_bytes()));
        }
        let hash = Sha256::digest(&bytes);
        bytes.extend(hash);
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CheckpointError> {
        use CheckpointError::{Broken, Foreign};
        if !bytes.starts_with(MAGIC) {
            return Err(Foreign);
        }
        let (body, hash) = bytes.split_at(bytes.len().saturating_sub(HASH));
        if Sha256::digest(body).as_slice() != hash {
            return Err(Broken);
        }
        let (length, rest) = body
            .get(8..)
            .and_then(|rest| rest.split_first_chunk::<8>())
            .ok_or(Broken)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| Broken)?;
        let (header, mut rest) = rest.split_at_checked(length).ok_or(Broken)?;
        let Header { place, tensors } = serde_json::from_slice(header).map_err(|_| Foreign)?;
        let mut read = Vec::with_capacity(tensors.len());
        for (name, shape) in tensors {
            let (numbers, after) = rest
                .split_at_checked(4 * shape.iter().product::<usize>())
                .ok_or(Broken)?;
            rest = after;
            let data = numbers
                .as_chunks::<4>()
                .0
                .iter()
                .map(|chunk| f32::from_le_bytes(*chunk))
                .collect();
            read.push((name, Tensor { shape, data }));
        }
        Ok(Self { place, tensors: read })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        let place = Place {
            architecture: "m1/…".into(),
            seed: 7,
            epochs: 2,
            step: 11,
            seconds: 1.5,
            search: None,
        };
        let tensor = |data: &[f32]| Tensor {
            shape: vec![data.len()],
            data: data.to_vec(),
        };
        Checkpoint {
            place,
            tensors: vec![
                ("a".into(), tensor(&[1.0, f32::MIN_POSITIVE])),
                ("b".into(), tensor(&[])),
            ],
        }
    }

    #[test]
    fn reads_what_it_wrote() {
        assert_eq!(Checkpoint::from_bytes(&checkpoint().to_bytes()), Ok(checkpoint()));
    }

    #[test]
    fn its_network_is_the_average_without_momentum() {
        let mut checkpoint = checkpoint();
        let tensor = |value| Tensor {
            shape: vec![1],
            data: vec![value],
        };
        checkpoint.tensors = vec![
            ("a".into(), tensor(1.0)),
            ("b".into(), tensor(2.0)),
            ("momentum:a".into(), tensor(3.0)),
            ("average:b".into(), tensor(4.0)),
        ];
        let network = checkpoint.into_network();
        assert_eq!(network, [("a".into(), tensor(1.0)), ("b".into(), tensor(4.0))]);
    }

    #[test]
    fn notices_every_cut_and_every_changed_byte() {
        let bytes = checkpoint().to_bytes();
        for end in 0..bytes.len() {
            assert!(Checkpoint::from_bytes(&bytes[..end]).is_err(), "{end}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Checkpoint::from_bytes(&changed).is_err(), "{at}");
        }
    }
}
