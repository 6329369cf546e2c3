use proptest::prelude::*;

use super::{draw, layers, scene};
use crate::load_graph;
use crate::spec::arbitrary;

const LOOP: &str = "
inputStreams: [in]
outputStreams: [out]
nodes:
- {name: limit, calculator: FlowLimiter, inputs: [in, 'FINISHED:out'], backEdges: [FINISHED], outputs: [some]}
- {name: detect, calculator: Inference, inputs: [some], outputs: [found], sidePackets: {MODEL: dish}, freshness: newest,
   maxAge: 80ms}
- {name: join, calculator: Join, inputs: [found, in], outputs: [out]}
";

#[test]
fn writers_stand_above_their_readers() {
    let scene = scene::scene(&load_graph(LOOP).unwrap());
    let layout = layers::arrange(&scene);
    for (line, back) in scene.lines.iter().zip(&layout.back) {
        let (from, to) = (layout.boxes[line.from], layout.boxes[line.to]);
        assert_eq!(from.y + from.height < to.y, !back, "{line:?}");
    }
    let back: Vec<&str> = scene
        .lines
        .iter()
        .zip(&layout.back)
        .filter(|(_, back)| **back)
        .map(|(line, _)| line.stream.as_str())
        .collect();
    assert_eq!(back, ["out"]);
}

#[test]
fn boxes_do_not_overlap() {
    let scene = scene::scene(&load_graph(LOOP).unwrap());
    let boxes = layers::arrange(&scene).boxes;
    for (index, one) in boxes.iter().enumerate() {
        for other in boxes.iter().skip(index + 1) {
            let apart = one.x + one.width < other.x
                || other.x + other.width < one.x
                || one.y + one.height < other.y
                || other.y + other.height < one.y;
            assert!(apart, "{one:?} {other:?}");
        }
    }
}

#[test]
fn names_streams_and_declared_limits_can_be_read() {
    let svg = draw(&load_graph(LOOP).unwrap()).unwrap();
    for part in [
        ">limit<",
        ">FlowLimiter<",
        ">found<",
        "class=\"line back\"",
        ">MODEL = dish<",
        ">newest, max age 80ms<",
    ] {
        assert!(svg.contains(part), "{part}\n{svg}");
    }
    assert_eq!(svg.matches(">in<").count(), 3);
}

#[test]
fn odd_names_stay_text() {
    let text = "nodes: [{name: 'a<b', calculator: '&'}]";
    assert!(draw(&load_graph(text).unwrap()).unwrap().contains(">a&lt;b<"));
}

proptest! {
    #[test]
    fn any_graph_can_be_drawn(spec in arbitrary::graph()) {
        if let Ok(svg) = draw(&spec) {
            prop_assert!(svg.ends_with("</svg>\n"));
            prop_assert!(!svg.contains("NaN"));
        }
    }
}
