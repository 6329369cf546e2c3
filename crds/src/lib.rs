//! The custom resources of group `haizen.dev`: one file a kind, their shared parts, and their schemas.
//!
//! Owns what users write and read with kubectl. Says nothing of how it comes about: that is the operator's.

pub mod conditions;
pub mod edgepipeline;
pub mod nasjob;
pub mod selector;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub use edgepipeline::EdgePipeline;
pub use nasjob::NasJob;

/// The one list of kinds.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![NasJob::crd(), EdgePipeline::crd()]
}
