use std::fmt::Write;
use std::fs;
use std::path::Path;

use clap::Parser;

use super::*;

/// A space of its own: two slots of three and four options, another data set and other devices.
fn table(folder: &Path, columns: &str) {
    let mut text = format!("arch,{columns}\n");
    for index in 0..12 {
        let (a, b) = (index % 3, index / 3);
        let fields = columns.split(',').map(|column| match column {
            "c7_test_90ep" => (60 + 5 * a + 3 * b).to_string(),
            "c7_val_9ep" => (30 + 4 * a + 2 * b).to_string(),
            "latency_ms_gate" => (1 + 2 * a + b).to_string(),
            "latency_ms_till" => (2 + a + b).to_string(),
            _ => (a + b).to_string(),
        });
        let fields: Vec<String> = fields.collect();
        writeln!(text, "op{a}-op{b},{}", fields.join(",")).unwrap();
    }
    fs::write(folder.join("tiny.csv"), text).unwrap();
}

const ALL: &str = "c7_test_90ep,c7_val_9ep,c7_synflow,params,latency_ms_gate,latency_ms_till";

fn answer(columns: &str, args: &str) -> Result<Vec<serde_json::Value>, String> {
    let folder = tempfile::tempdir().unwrap();
    table(folder.path(), columns);
    let path = folder.path().display().to_string();
    let table = if args.contains("--table") {
        ""
    } else {
        "--table tiny "
    };
    let words = format!("nas-bench {path} {table}{args}");
    let words = words.split(' ');
    let args = args::Args::try_parse_from(words).map_err(|error| error.to_string())?;
    let mut lines = Vec::new();
    let answered = report::write(&args, &mut |line| {
        lines.push(serde_json::from_str(line)?);
        Ok(())
    });
    // The folder's name differs from run to run.
    answered.map_err(|error| error.to_string().replace(&path, "DIR"))?;
    Ok(lines)
}

#[test]
fn answers_in_one_line_for_a_table_of_any_size() {
    let args = "--dataset c7 --device gate --quantile 0.5 --strategy evolution --evaluations 8 --seeds 3";
    let lines = answer(ALL, args).unwrap();
    assert_eq!(
        lines,
        [serde_json::json!({
            "strategy": "evolution", "device": "gate", "quantile": 0.5, "evaluations": 8,
            "regretMean": 0.0, "regretSd": 0.0, "violations": 0, "feasibleMissing": 0,
        })]
    );
}

#[test]
fn the_front_of_a_small_table_is_found_whole() {
    let lines = answer(
        ALL,
        "--dataset c7 --device till --evaluations 12 --seeds 2 --pareto",
    )
    .unwrap();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["hypervolumeMean"], 1.0);
}

#[test]
fn a_latency_model_needs_other_devices() {
    let lines = answer(ALL, "--device gate --latency-model --samples 6 --seeds 2").unwrap();
    assert!(lines[0]["spearmanMean"].as_f64().unwrap() > 0.8, "{lines:?}");
    assert!(lines[0]["random"]["spearmanMean"].is_number(), "{lines:?}");
    let error = answer("c7_test_90ep,latency_ms_gate", "--device gate --latency-model").unwrap_err();
    assert_eq!(
        error,
        "DIR/tiny.csv has only the device gate: --latency-model needs others to learn from"
    );
}

#[test]
fn what_is_missing_is_named_with_what_there_is() {
    for (columns, args, message) in [
        (
            ALL,
            "--dataset c10",
            "DIR/tiny.csv has no dataset \"c10\" (no column c10_test_200ep); it has c7",
        ),
        (
            ALL,
            "--dataset c7 --device pi",
            "DIR/tiny.csv has no device \"pi\" (no column latency_ms_pi); it has gate, till",
        ),
        (
            ALL,
            "--dataset c7 --quantile 3",
            "--quantile 3: a share of the networks above 0 and at most 1, for instance 0.1, 0.3 or 0.5",
        ),
        (
            "params,latency_ms_gate",
            "--dataset c7",
            "DIR/tiny.csv has no accuracies: no column is named like c10_test_200ep or mean_acc; it has arch, params, latency_ms_gate",
        ),
        (
            "c7_test_90ep",
            "--dataset c7 --device gate",
            "DIR/tiny.csv has no latencies: no column is named like latency_ms_NAME, and no file beside it like TABLE_latency_NAME.json",
        ),
        (
            ALL,
            "--dataset c7 --seeds 0",
            "--seeds and --evaluations are at least 1",
        ),
        (
            ALL,
            "--table nb201",
            "no table \"nb201\": nb201.csv.gz is not in DIR; there are tiny.csv",
        ),
    ] {
        assert_eq!(answer(columns, args).unwrap_err(), message, "{args}");
    }
}
