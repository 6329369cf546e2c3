//! What users get wrong, as YAML-like JSON in and one line out.

use std::sync::Arc;

use serde_json::json;

use super::*;

fn pipeline(change: impl FnOnce(&mut serde_json::Value)) -> EdgePipeline {
    let mut object = json!({
        "apiVersion": "haizen.dev/v1alpha1", "kind": "EdgePipeline",
        "metadata": {"name": "camera", "namespace": "n"},
        "spec": {
            "deviceSelector": {},
            "models": {"dish": {"nasJob": {"name": "search"}}},
            "graph": {"nodes": [
                {"name": "source", "calculator": "Generator", "outputs": ["a"]},
                {"name": "sink", "calculator": "Discard", "inputs": ["a"]},
            ]},
        },
    });
    change(&mut object["spec"]);
    serde_json::from_value(object).unwrap()
}

fn with_job(status: &serde_json::Value) -> Resources {
    let job = json!({
        "apiVersion": "haizen.dev/v1alpha1", "kind": "NasJob", "metadata": {"name": "search"},
        "spec": {
            "task": {"imageClassification": {"dataset": {"uri": "file:///data"}}},
            "targets": [{"name": "pi", "deviceSelector": {}, "constraints": {"latency": {"p95": "20ms"}}}],
        },
        "status": status,
    });
    let job: NasJob = serde_json::from_value(job).unwrap();
    Resources {
        nas_jobs: [("search".to_owned(), Some(Arc::new(job)))].into(),
        sizes: [(Digest::of(b"m"), 1)].into(),
        ..Resources::default()
    }
}

fn best(target: &str, bytes: &[u8]) -> serde_json::Value {
    json!({"name": target, "class": target, "best": {
        "model": Digest::of(bytes).to_string(), "accuracy": 0.9, "predictedP95": "10ms",
        "measuredP95": "11ms", "size": "1",
    }})
}

fn line(result: Result<Validated, Refusal>) -> String {
    match result {
        Ok(valid) => format!("ok {}", valid.notes.join("; ")),
        Err(Refusal {
            reason,
            message,
            stalled,
        }) => {
            format!("{reason}{} {message}", if stalled { "!" } else { "" })
        }
    }
}

#[test]
fn mistakes_become_one_line_that_names_the_field() {
    type Change = fn(&mut serde_json::Value);
    let found = with_job(&json!({"targets": [best("pi", b"m")]}));
    let cases: [(Change, &str); 7] = [
        (|_| {}, "ok"),
        (
            |s| s["rollout"] = json!({"window": {"from": "02:00", "to": "05:00"}}),
            "NotYetSupported! rollout.window is not supported yet",
        ),
        (
            |s| s["rollout"] = json!({"waves": ["50%"], "gates": [{"successRatio": {"min": 7.0}}]}),
            "InvalidSpec! rollout.waves ends with 50%: end it with 100%, else some devices never get the revision; \
             rollout.gates[0].successRatio.min is 7",
        ),
        (
            |s| s["graph"]["nodes"][1]["calculator"] = json!("Discrad"),
            "InvalidGraph! spec.graph: node sink:",
        ),
        (
            |s| s["graph"]["nodes"][1]["inputs"] = json!(["b"]),
            "InvalidGraph! spec.graph: node sink:",
        ),
        (
            |s| {
                s["graph"]["nodes"][1] =
                    json!({"name": "sink", "calculator": "Discard", "inputs": ["a", "b"]});
                s["graph"]["inputStreams"] = json!(["b"]);
            },
            "InvalidGraph! spec.graph.inputStreams: nothing feeds b on a device",
        ),
        (
            |s| {
                let long = "x".repeat(60);
                let discard =
                    |n| json!({"name": format!("{long}-{n}"), "calculator": "Discard", "inputs": ["a"]});
                let nodes = s["graph"]["nodes"].as_array_mut().unwrap();
                nodes.extend((0..100).map(discard));
            },
            "DocumentTooLarge! spec.graph: ",
        ),
    ];
    for (change, expected) in cases {
        let said = line(validate(&pipeline(change), &found));
        assert!(said.starts_with(expected), "{said}\nis not: {expected}");
    }
}

#[test]
fn models_come_from_what_a_search_found() {
    let unknown = Resources {
        nas_jobs: [("search".to_owned(), None)].into(),
        ..Resources::default()
    };
    let failed = json!([{"type": "Succeeded", "status": "False", "reason": "Infeasible", "message": "no net in 2ms",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    let cases = [
        (
            unknown,
            "ModelMissing spec.models.dish: NasJob search not found in this namespace",
        ),
        (
            with_job(&json!({})),
            "ModelNotReady spec.models.dish: NasJob search is still searching",
        ),
        (
            with_job(&json!({"progress": {"stage": "Training", "done": 1, "of": 3}})),
            "ModelNotReady spec.models.dish: NasJob search is still searching (Training 1 of 3)",
        ),
        (
            with_job(&json!({"conditions": failed})),
            "ModelUnavailable! spec.models.dish: NasJob search ended without a model: no net in 2ms",
        ),
        (
            with_job(&json!({"targets": [best("pi", b"lost")]})),
            "ModelUnavailable! spec.models.dish: sha256:",
        ),
        (
            with_job(&json!({"targets": [best("pi", b"m"), {"name": "pc", "class": "pc"}]})),
            "ok NasJob search has no model for its target pc",
        ),
    ];
    for (resources, expected) in cases {
        let said = line(validate(&pipeline(|_| {}), &resources));
        assert!(said.starts_with(expected), "{said}\nis not: {expected}");
    }
}

#[test]
fn a_hold_is_no_other_spec_and_a_policy_no_other_revision() {
    let found = with_job(&json!({"targets": [best("pi", b"m")]}));
    let valid = |change: fn(&mut serde_json::Value)| validate(&pipeline(change), &found).unwrap();
    let (plain, held) = (valid(|_| {}), valid(|s| s["paused"] = json!(true)));
    assert_eq!(plain, held);
    let other = valid(|s| s["rollout"] = json!({"bake": "1m"}));
    assert_eq!(other.revision, plain.revision);
    assert_ne!(other.spec_key, plain.spec_key);
    let graph = valid(|s| s["graph"]["nodes"][0]["options"] = json!({"fps": 5}));
    assert_ne!(graph.revision, plain.revision);
}
