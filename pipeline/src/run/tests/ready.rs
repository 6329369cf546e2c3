//! The set of nodes that can run. Its tests stand here: `tests/permute` takes in its file.

use crate::run::ready::ReadySet;

#[test]
fn highest_first_and_each_once() {
    let ready = ReadySet::new(200);
    for node in [3, 64, 199, 0] {
        ready.insert(node);
    }
    assert_eq!(ready.below(65).collect::<Vec<_>>(), [0, 3, 64]);
    for node in [199, 64, 3, 0] {
        assert_eq!(ready.highest(), Some(node));
        assert!(ready.claim(node));
        assert!(!ready.claim(node));
    }
    assert!(ready.is_empty());
}
