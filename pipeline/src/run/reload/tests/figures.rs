//! Figures count on over a reload.

use super::{Bench, TWO_BRANCHES};

#[test]
fn a_stream_counts_on_whoever_writes_it() {
    let bench = Bench::start(TWO_BRANCHES, 1);
    let carried = || -> Vec<u64> {
        let stats = bench.running.stats();
        stats.streams.iter().map(|stream| stream.carried).collect()
    };
    bench.ticks(2);
    assert_eq!(carried(), [3, 3, 3]);
    for add in [500, 600] {
        bench
            .reload(&TWO_BRANCHES.replace("add: 100", &format!("add: {add}")))
            .unwrap();
    }
    assert_eq!(carried(), [3, 3, 3]);
    bench.ticks(2);
    assert_eq!(carried(), [5, 5, 5]);
    // Another node writes b now, and there is a new stream.
    let text = TWO_BRANCHES
        .replace("name: left", "name: west")
        .replace("outputs: [c]", "outputs: [d]");
    bench.reload(&text.replace("[b, c]", "[b, d]")).unwrap();
    bench.ticks(1);
    assert_eq!(carried(), [6, 6, 1]);
}

#[test]
fn a_window_begins_where_it_is_taken() {
    let bench = Bench::start(TWO_BRANCHES, 1);
    bench.ticks(2);
    bench
        .reload(&TWO_BRANCHES.replace("add: 100", "add: 500"))
        .unwrap();
    bench.running.take_window();
    bench.ticks(3);
    for _ in 0..2 {
        let window = bench.running.window();
        let processed: Vec<u64> = window.nodes.iter().map(|node| node.processed).collect();
        assert_eq!((window.produced(), processed), (3, vec![3, 3]));
    }
    assert_eq!(bench.running.stats().produced(), 6);
}
