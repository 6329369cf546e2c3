use proptest::prelude::*;

use super::*;
use crate::random::{Purpose, generator};

fn space(yaml_as_json: &str) -> Result<Space, SpaceError> {
    Space::from_config(&serde_json::from_str(yaml_as_json).unwrap())
}

fn default_space() -> Space {
    Space::from_config(&SearchSpaceConfig::default()).unwrap()
}

#[test]
fn the_small_preset_is_measured_within_a_minute() {
    let keys = default_space().block_keys();
    assert_eq!(keys.len(), 101, "at half a second a block");
    assert_eq!(
        space(r#"{"mobileBlocks":{"preset":"mobile"}}"#)
            .unwrap()
            .block_keys()
            .len(),
        480
    );
}

#[test]
fn the_small_preset_spans_a_wide_range_of_costs() {
    let space = default_space();
    let mut rng = generator(1, 0, Purpose::Ask);
    let mut macs: Vec<_> = (0..500)
        .map(|_| space.decode(&space.sample(&mut rng)).unwrap().cost().macs)
        .collect();
    macs.sort_unstable();
    assert!(macs[0] < 500_000, "{}", macs[0]);
    assert!((500_000..3_000_000).contains(&macs[250]), "{}", macs[250]);
}

#[test]
fn a_bad_space_names_its_field() {
    for (config, message) in [
        (
            r#"{"mobileBlocks":{"kernels":[]}}"#,
            "searchSpace.mobileBlocks.kernels: 0 values: 1 to 8 are allowed",
        ),
        (
            r#"{"mobileBlocks":{"kernels":[4]}}"#,
            "searchSpace.mobileBlocks.kernels: 4 is no odd number from 3 to 7",
        ),
        (
            r#"{"mobileBlocks":{"depths":[2,2]}}"#,
            "searchSpace.mobileBlocks.depths: value 2 stands there twice",
        ),
        (
            r#"{"mobileBlocks":{"widths":[0]}}"#,
            "searchSpace.mobileBlocks.widths: 0 is not between 0.1 and 4",
        ),
        (
            r#"{"mobileBlocks":{"stages":[{"channels":8,"stride":9}]}}"#,
            "searchSpace.mobileBlocks.stages[0].stride: 9 is not between 1 and 4",
        ),
    ] {
        assert_eq!(space(config).unwrap_err().to_string(), message);
    }
    assert!(serde_json::from_str::<SearchSpaceConfig>(r#"{"mobileBlocks":{"kernel":[3]}}"#).is_err());
}

#[test]
fn a_foreign_network_has_no_point() {
    let other = space(r#"{"mobileBlocks":{"kernels":[7]}}"#).unwrap();
    let mut rng = generator(1, 0, Purpose::Ask);
    let architecture = other.decode(&other.sample(&mut rng)).unwrap();
    assert_eq!(default_space().encode(&architecture), None);
    assert!(default_space().decode(&Choices(vec![0; 3])).is_err());
}

proptest! {
    #[test]
    fn every_point_survives_its_encodings(seed: u64, config in 0..3_usize) {
        let configs = [
            r#"{"mobileBlocks":{}}"#,
            r#"{"mobileBlocks":{"preset":"mobile"}}"#,
            // Rounding makes stages and widths alike here.
            r#"{"mobileBlocks":{"widths":[0.25,0.3,0.5],"stages":[{"channels":8,"stride":1},{"channels":8,"stride":1}],"squeezeExcite":[false,true]}}"#,
        ];
        let space = space(configs[config]).unwrap();
        let choices = space.sample(&mut generator(seed, 0, Purpose::Ask));
        let architecture = space.decode(&choices).unwrap();
        let encoded = space.encode(&architecture).unwrap();
        prop_assert_eq!(space.decode(&encoded).unwrap(), architecture.clone());
        if config < 2 {
            prop_assert_eq!(encoded, choices);
        }
        prop_assert_eq!(architecture.to_string().parse(), Ok(architecture.clone()));
        let keys = space.block_keys();
        prop_assert!(architecture.blocks().iter().all(|key| keys.binary_search(key).is_ok()));
    }
}
