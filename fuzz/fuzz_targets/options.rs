//! Any JSON as the options of any calculator: a node or mistakes, and never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pipeline::Registry;
use pipeline::options::OptionMap;

fuzz_target!(|input: (u8, &str)| {
    let (pick, text) = input;
    let registry = Registry::standard();
    let kinds: Vec<_> = registry.iter().collect();
    if let (Some(kind), Ok(options)) = (
        kinds.get(usize::from(pick) % kinds.len()),
        serde_json::from_str::<OptionMap>(text),
    ) && kind.contract(&options).is_ok()
    {
        let _ = kind.build(&options);
    }
});
