//! Who hears of a run, when, and what becomes of their own errors.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::VirtualClock;
use crate::contract::{Arity, Port};
use crate::load::load;
use crate::node::{NodeError, NodeType};
use crate::packet::{Packet, SidePacket};
use crate::run::tests::LIMIT;
use crate::run::tests::witness::{JOURNAL, Journal, Witness};
use crate::run::{Inputs, RunError, RunningGraph, StartError};
use crate::service::GraphServices;
use crate::status_handler::{HandlerContext, HandlerKind, HandlerType, StatusHandler};
use crate::testing::{at, registry};
use crate::{Registry, ValidatedGraph};

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Options {
    /// In which call.
    fails: String,
    name: String,
    needs_number: bool,
}

/// Writes what it hears into a journal that comes as a side packet.
struct Diary(Options);

impl HandlerKind for Diary {
    const NAME: &'static str = "Diary";
    const DOC: &'static str = "Keeps a diary.";
    type Options = Options;

    fn side_inputs(options: &Options) -> Vec<Port> {
        let number = if options.needs_number {
            Arity::One
        } else {
            Arity::Optional
        };
        vec![
            Port::of::<Journal>("LOG"),
            Port::of::<i64>("NUMBER").arity(number),
        ]
    }

    fn new(options: Options) -> Self {
        Self(options)
    }
}

impl Diary {
    fn write(&self, ctx: &HandlerContext<'_>, call: &str, rest: &str) -> Result<(), NodeError> {
        let number = ctx
            .side::<i64>("NUMBER")
            .map_or(String::new(), |number| format!(" {number}"));
        let line = format!("{}{call}{number}{rest}", self.0.name);
        ctx.side::<Journal>("LOG")?.say(line);
        if self.0.fails == call {
            return Err(NodeError::Failed("no ink".to_owned()));
        }
        Ok(())
    }
}

impl StatusHandler for Diary {
    fn pre_run(&mut self, ctx: &HandlerContext<'_>) -> Result<(), NodeError> {
        self.write(ctx, "PreRun", "")
    }

    fn post_run(&mut self, ctx: &HandlerContext<'_>, ended: Result<(), &RunError>) -> Result<(), NodeError> {
        let ended = ended.map_or_else(|error| format!(": {error}"), |()| String::new());
        self.write(ctx, "PostRun", &ended)
    }
}

fn with_diaries() -> Registry {
    registry()
        .with(NodeType::of::<Witness>())
        .with_handler(HandlerType::of::<Diary>())
}

fn graph(text: &str) -> ValidatedGraph {
    let loaded = load(text).unwrap_or_else(|errors| panic!("{errors:?}"));
    loaded
        .validate(&with_diaries())
        .unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// One node, and these handlers with the journal as `log`.
fn one_node(node: &str, handlers: &str) -> ValidatedGraph {
    graph(&format!(
        "inputStreams: [a]
nodes:
- {{name: w, calculator: Witness, inputs: [a]{node}}}
statusHandlers:
{handlers}"
    ))
}

const DIARY: &str = "- {handler: Diary, sidePackets: {LOG: log}}\n";

fn start(graph: &ValidatedGraph, journal: &Journal) -> Result<RunningGraph, StartError> {
    graph.start(Inputs {
        clock: Arc::new(VirtualClock::jumping(0)),
        services: GraphServices::default().with(&JOURNAL, journal.clone()),
        side_packets: side(journal),
        ..Inputs::default()
    })
}

fn side(journal: &Journal) -> BTreeMap<String, SidePacket> {
    BTreeMap::from([("log".to_owned(), SidePacket::new(journal.clone()))])
}

/// Runs it over one packet; what was told, and how it ended.
fn run(graph: &ValidatedGraph) -> (Vec<String>, Result<(), String>) {
    let journal = Journal::default();
    let ended = match start(graph, &journal) {
        Err(error) => Err(format!("no start: {error}")),
        Ok(running) => {
            // One that failed takes none.
            drop(running.feed("a", Packet::new(7_i64, at(1))));
            running.close_all_inputs();
            let ended = running.wait_timeout(LIMIT).unwrap();
            ended.map_err(|error| error.to_string())
        }
    };
    let lines = journal.lines();
    let short = lines.iter().map(|line| line.split(" Unstarted").next().unwrap());
    (short.map(str::to_owned).collect(), ended)
}

#[test]
fn told_before_the_first_node_opens_and_after_the_last_is_closed() {
    let (told, ended) = run(&one_node("", DIARY));
    assert_eq!(ended, Ok(()));
    assert_eq!(
        told,
        [
            "PreRun",
            "w Open",
            "w Process 1 7",
            "w Close Done <OneOverPostStream",
            "PostRun"
        ]
    );
    let (told, ended) = run(&one_node(", options: {open: [fail]}", DIARY));
    let error = "node w: Open failed: told to";
    assert_eq!(ended, Err(error.to_owned()));
    assert_eq!(told, ["PreRun", "w Open", &format!("PostRun: {error}")]);
}

#[test]
fn one_that_lacks_a_side_packet_is_left_out_and_that_is_an_error() {
    let other = "- {handler: Diary, sidePackets: {LOG: none}}\n";
    let (told, ended) = run(&one_node("", &(other.to_owned() + DIARY)));
    let error = "status handler Diary: PreRun failed: side packet none is missing";
    assert_eq!(ended, Err(format!("no start: {error}")));
    assert_eq!(told, ["PreRun", &format!("PostRun: {error}")]);
    let wrong = "- {handler: Diary, sidePackets: {LOG: log, NUMBER: log}}\n";
    let (_, ended) = run(&one_node("", wrong));
    assert_eq!(
        ended,
        Err(
            "no start: status handler Diary: PreRun failed: side packet log carries i64, not Journal"
                .to_owned()
        )
    );
}

#[test]
fn their_own_errors_are_the_runs() {
    let failing = |call: &str| {
        let first = format!("- {{handler: Diary, sidePackets: {{LOG: log}}, options: {{fails: {call}}}}}\n");
        let second = "- {handler: Diary, sidePackets: {LOG: log}, options: {name: second}}\n";
        run(&one_node("", &(first + second)))
    };
    let error = "status handler Diary: PreRun failed: no ink";
    let (told, ended) = failing("PreRun");
    assert_eq!(ended, Err(format!("no start: {error}")));
    let after = format!("PostRun: {error}");
    assert_eq!(
        told,
        ["PreRun", "secondPreRun", &after, &format!("second{after}")]
    );

    let (told, ended) = failing("PostRun");
    assert_eq!(
        ended,
        Err("status handler Diary: PostRun failed: no ink".to_owned())
    );
    assert_eq!(told[told.len() - 2..], ["PostRun", "secondPostRun"]);
}

#[test]
fn not_told_where_the_graph_does_not_start() {
    let needs = graph(&format!(
        "nodes:
- {{calculator: SidePacketToStream, sidePackets: {{'0': missing}}, outputs: ['AT_ZERO:a']}}
statusHandlers:
{DIARY}"
    ));
    let (told, ended) = run(&needs);
    assert!(
        ended
            .unwrap_err()
            .starts_with("no start: side packet missing is missing")
    );
    assert_eq!(told, [""; 0]);
}

#[test]
fn what_a_node_makes_is_there_at_the_end_only() {
    for (needs, told_before) in [("true", &[][..]), ("false", &["PreRun"])] {
        let (told, ended) = run(&graph(&format!(
            "inputStreams: [a]
nodes:
- {{calculator: StreamToSidePacket, inputs: [a], outputSidePackets: {{'0': made}}}}
statusHandlers:
- {{handler: Diary, sidePackets: {{LOG: log, NUMBER: made}}, options: {{needsNumber: {needs}}}}}"
        )));
        assert_eq!(ended, Ok(()));
        assert_eq!(told, [told_before, &["PostRun 7"]].concat());
    }
}

#[test]
fn those_of_subgraphs_are_told_too() {
    let (told, ended) = run(&graph(
        "inputStreams: [a]
nodes:
- {name: in, calculator: Inner, inputs: ['A:a'], sidePackets: {L: log}}
subgraphs:
  Inner:
    inputStreams: ['A:x']
    inputSidePackets: ['L:l']
    nodes:
    - {calculator: StreamToSidePacket, inputs: [x], outputSidePackets: {'0': made}}
    statusHandlers:
    - {handler: Diary, sidePackets: {LOG: l, NUMBER: made}}",
    ));
    assert_eq!(ended, Ok(()));
    assert_eq!(told, ["PreRun", "PostRun 7"]);
}

#[test]
fn a_reload_tells_only_handlers_that_are_new() {
    let journal = Journal::default();
    let first = one_node("", DIARY);
    let running = start(&first, &journal).unwrap();
    running.wait_idle();
    let same = one_node(", options: {close: []}", DIARY);
    running.reload(&same, side(&journal)).unwrap();
    let other = one_node(
        "",
        "- {handler: Diary, sidePackets: {LOG: log}, options: {name: new}}\n",
    );
    running.reload(&other, side(&journal)).unwrap();
    let failing = "- {handler: Diary, sidePackets: {LOG: log}, options: {name: bad, fails: PreRun}}\n";
    running
        .reload(&one_node("", failing), side(&journal))
        .unwrap_err();
    running.close_all_inputs();
    running.wait_timeout(LIMIT).unwrap().unwrap();
    let told = journal.lines();
    let told: Vec<&str> = told
        .iter()
        .map(|line| line.split(':').next().unwrap())
        .filter(|line| line.contains("Run"))
        .collect();
    assert_eq!(
        told,
        ["PreRun", "newPreRun", "badPreRun", "badPostRun", "newPostRun"]
    );
}

#[test]
fn mistakes_name_the_handler_and_its_line() {
    let yaml = "nodes:\n- {calculator: Discard, inputs: [a]}\ninputStreams: [a]\nstatusHandlers:\n\
                - {handler: LogStatus}\n- {HANDLER}\n";
    let text = "node { calculator: 'Discard' input_stream: 'a' }\ninput_stream: 'a'\n\nstatus_handler {\n\
                status_handler: 'LogStatus' }\nstatus_handler { HANDLER }\n";
    let problem = |text: &str| {
        let errors = load(text).unwrap().validate(&with_diaries()).unwrap_err();
        errors[0].to_string()
    };
    for (in_yaml, in_text, said) in [
        (
            "handler: LogStatu",
            "status_handler: 'LogStatu'",
            "status handler LogStatu: there is no status handler of that name; did you mean LogStatus?",
        ),
        (
            "handler: LogStatus, options: {labl: x}",
            "status_handler: 'LogStatus' options { [type.googleapis.com/mediapipe.LogStatusOptions] { labl: 'x' } }",
            "status handler LogStatus: option labl is unknown; did you mean label?",
        ),
        (
            "handler: Diary",
            "status_handler: 'Diary'",
            "status handler Diary: side packet LOG is missing; Diary needs it",
        ),
    ] {
        assert_eq!(
            problem(&yaml.replace("HANDLER", in_yaml)),
            format!("line 6: {said}")
        );
        assert_eq!(
            problem(&text.replace("HANDLER", in_text)),
            format!("line 6: {said}")
        );
    }
}

#[test]
fn the_log_handler_runs() {
    let (_, ended) = run(&one_node("", "- {handler: LogStatus, options: {label: till}}\n"));
    assert_eq!(ended, Ok(()));
}
