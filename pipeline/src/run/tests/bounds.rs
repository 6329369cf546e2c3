//! What nodes promise of the time to come, and who hears of it.

use crate::run::tests::witness::Stage;

fn one(options: &str) -> Stage {
    Stage::start(
        &format!(
            "inputStreams: [a]
outputStreams: [x]
nodes:
- {{name: w, calculator: Witness, inputs: [a], outputs: [x], options: {{{options}}}}}"
        ),
        1,
    )
}

#[test]
fn an_offset_plays_no_part_before_the_first_input() {
    let stage = one("open: [offset 0]");
    stage.running.wait_idle();
    assert_eq!(stage.stream("x"), "");
    stage.feed("a@5=1");
    assert_eq!(stage.stream("x"), "<6");
    stage.end().unwrap();
    assert_eq!(stage.stream("x"), "<6 |");
    // Closed without an input: nothing but that.
    let stage = one("open: [offset 0]");
    stage.end().unwrap();
    assert_eq!(stage.stream("x"), "|");
}

#[test]
fn an_offset_set_in_process_plays_no_part() {
    let stage = one("process: [[offset 0]]");
    stage.feed("a@5=1 a@6=2");
    assert_eq!(stage.stream("x"), "");
}

#[test]
fn a_bound_above_the_offset_holds() {
    let stage = one("offset: 0, process: [[<10000]]");
    stage.feed("a@1=1 a@2=2");
    assert_eq!(stage.stream("x"), "<10000");
    stage.end().unwrap();
}

#[test]
fn what_is_missing_gives_its_bound_and_each_time_is_told_once() {
    let stage = Stage::start(
        "inputStreams: [a, b]
nodes:
- {name: w, calculator: Witness, inputs: [a, b], options: {bounds: true}}",
        1,
    );
    stage.feed("a@5=1 b@6 b@6 b@6 a@9 b@8 b@8");
    assert_eq!(
        stage.journal.lines()[1..],
        ["w Process 5 1 <6", "w Process 7 <9 <8"]
    );
}

#[test]
fn bounds_alone_call_nobody() {
    let stage = one("offset: 0");
    stage.feed("a@5 a@6 a@6");
    stage.end().unwrap();
    assert_eq!(stage.journal.count("w Process"), 0);
    assert_eq!(stage.stream("x"), "<5 <6 |");
}

#[test]
fn a_post_stream_packet_is_one_call_also_where_bounds_are_processed() {
    let stage = one("bounds: true");
    stage.feed("a@PostStream=1");
    stage.end().unwrap();
    assert_eq!(
        stage.journal.lines(),
        [
            "w Open Unstarted <Min",
            "w Process PostStream 1",
            "w Close Done <OneOverPostStream"
        ]
    );
}

/// The last node promises only that nothing comes before the input: whoever joins it lags by one.
#[test]
fn a_join_with_a_node_that_keeps_the_last_packet_lags_by_one() {
    let stage = Stage::start(
        "inputStreams: [a]
outputStreams: [x]
nodes:
- {name: last, calculator: LastPacket, inputs: [a], outputs: [l]}
- {name: join, calculator: Witness, inputs: [a, l], outputs: [x], options: {process: [[pass]]}}",
        2,
    );
    stage.feed("a@1=1");
    assert_eq!(stage.packets("x"), "");
    stage.feed("a@2=2");
    assert_eq!(stage.packets("x"), "1=1");
    stage.feed("a@3=3");
    assert_eq!(stage.packets("x"), "1=1 2=2");
    stage.end().unwrap();
    assert_eq!(stage.packets("x"), "1=1 2=2 3=3");
    assert_eq!(stage.journal.count("join Process 3 3 3"), 1);
}

/// Each sum needs the one of 20 µs before; between two packets the source gives a bound.
#[test]
fn a_loop_over_bounds_gives_running_sums() {
    for threads in [1, 2] {
        let steps: Vec<String> = (0..=100)
            .flat_map(|n| [format!("['{}={n}']", 20 * n), format!("['<{}']", 20 * n + 10)])
            .collect();
        let stage = Stage::start(
            &format!(
                "outputStreams: [s]
nodes:
- {{calculator: Witness, outputs: [a], options: {{process: [{}]}}}}
- {{calculator: Sum, inputs: [a, l], outputs: [s], backEdges: ['1'], inputPolicy: {{earlyClose: {{}}}}}}
- {{calculator: Delay, inputs: [s], outputs: [l], options: {{by: 20}}}}",
                steps.join(", ")
            ),
            threads,
        );
        stage.end().unwrap();
        let sums: Vec<String> = (0..=100)
            .map(|n| format!("{}={}", 20 * n, n * (n + 1) / 2))
            .collect();
        assert_eq!(stage.packets("s"), sums.join(" "));
    }
}

/// y(n) = x(n) + y(n - 1) + y(n - 2): two loops over one sum, and the same with the delays in a row.
#[test]
fn filters_with_two_loops_give_their_impulse_response() {
    for loops in [
        "- {calculator: Delay, inputs: [y], outputs: [l], options: {by: 1}}
- {calculator: Delay, inputs: [y], outputs: [m], options: {by: 2}}",
        "- {calculator: Delay, inputs: [y], outputs: [l], options: {by: 1}}
- {calculator: Delay, inputs: [l], outputs: [m], options: {by: 1}}",
    ] {
        let stage = Stage::start(
            &format!(
                "inputStreams: [x]
outputStreams: [y]
nodes:
- {{calculator: Sum, inputs: [x, l, m], outputs: [y], backEdges: ['1', '2'], inputPolicy: {{earlyClose: {{}}}}}}
{loops}"
            ),
            2,
        );
        stage.feed("x@0=1 x@1=0 x@2=0 x@3=0 x@4=0 x@5=0 x@6=0");
        stage.end().unwrap();
        assert_eq!(stage.packets("y"), "0=1 1=1 2=2 3=3 4=5 5=8 6=13");
    }
}
