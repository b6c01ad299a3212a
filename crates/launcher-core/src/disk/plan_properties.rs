//! Whatever is on an engine: what the plan removes is nobody's but the launcher's, and needed by nobody.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use proptest::prelude::*;

use super::{
    plan::{Plan, Pressure, Rules, plan},
    record::{Made, MadeImage, RunImages},
    stock::{Stock, StockImage},
};
use crate::{ImageName, engine::ImageLayer};

const IMAGES: usize = 14;

/// What is by chance about one image. Each is built on an earlier one, or on none.
#[derive(Clone, Debug)]
struct Chance {
    parent: Option<usize>,
    made: Option<Made>,
    /// Which repository it was made for.
    repository: usize,
    made_at: i64,
    has_name: bool,
    other_name: bool,
    users: (usize, usize),
}

fn id(index: usize) -> String {
    format!("sha256:{index:02}")
}

fn name(chance: &Chance, index: usize) -> String {
    format!("team/app{}:{index}", chance.repository)
}

fn chance(index: usize) -> impl Strategy<Value = Chance> {
    let parent = prop_oneof![
        Just(None),
        (0..index.max(1)).prop_map(move |p| Some(p).filter(|p| *p < index))
    ];
    let made = prop_oneof![
        2 => Just(None),
        3 => Just(Some(Made::Built)),
        1 => Just(Some(Made::Pulled)),
        1 => Just(Some(Made::Base)),
        4 => Just(Some(Made::Layer)),
    ];
    let rarely = || prop_oneof![6 => Just(0_usize), 1 => Just(1_usize)];
    let other_name = prop_oneof![8 => Just(false), 1 => Just(true)];
    (
        parent,
        made,
        0..2_usize,
        0..6_i64,
        any::<bool>(),
        other_name,
        (rarely(), rarely()),
    )
        .prop_map(
            |(parent, made, repository, made_at, has_name, other_name, users)| Chance {
                parent,
                made,
                repository,
                made_at,
                has_name,
                other_name,
                users,
            },
        )
}

fn stock() -> impl Strategy<Value = Stock> {
    let chances: Vec<_> = (0..IMAGES).map(chance).collect();
    let few = || proptest::collection::vec(0..IMAGES, 0..3);
    (chances, few(), few(), few()).prop_map(|(chances, wanted, ran, under_way)| {
        let full_name = |index: usize| ImageName::parse(&name(&chances[index], index)).unwrap();
        let mut stock = Stock {
            wanted: wanted.into_iter().map(full_name).collect(),
            under_way: under_way
                .into_iter()
                .map(|index| full_name(index).canonical())
                .collect(),
            ran: vec![RunImages {
                instance: "i".into(),
                images: ran.into_iter().map(id).collect(),
            }],
            ..Stock::default()
        };
        for (index, chance) in chances.iter().enumerate() {
            enter(&mut stock, index, chance, full_name(index).canonical());
        }
        stock
    })
}

fn enter(stock: &mut Stock, index: usize, chance: &Chance, canonical: String) {
    let is_layer = chance.made == Some(Made::Layer);
    let own = (chance.has_name && !is_layer).then(|| name(chance, index));
    let other = chance.other_name.then(|| format!("somebody/else:{index}"));
    let mut layers = chance
        .parent
        .map_or_else(Vec::new, |parent| stock.layers[&id(parent)].clone());
    layers.push(ImageLayer {
        id: format!("layer {index}"),
        size_bytes: 1 << index,
    });
    stock.layers.insert(id(index), layers);
    let image = StockImage {
        id: id(index),
        parent: chance.parent.map(id),
        names: own.into_iter().chain(other).collect(),
        is_listed: true,
        used_by_instances: chance.users.0,
        used_by_others: chance.users.1,
        ..StockImage::default()
    };
    stock.images.insert(id(index), image);
    if let Some(how) = chance.made {
        let names = if is_layer {
            Vec::new()
        } else {
            vec![canonical]
        };
        let made = MadeImage {
            id: id(index),
            how,
            names,
            made_at: Timestamp::from_second(chance.made_at).unwrap(),
        };
        stock.made.insert(id(index), made);
    }
}

fn rules() -> impl Strategy<Value = Rules> {
    let pressure = prop_oneof![
        Just(None),
        Just(Some(Pressure::Everything)),
        (0..20_000_u64).prop_map(|bytes| Some(Pressure::Bytes(bytes))),
    ];
    (1..4_usize, pressure).prop_map(|(keep, pressure)| Rules { keep, pressure })
}

fn all_removed(plan: &Plan) -> Vec<String> {
    let each = plan.removals.iter();
    each.flat_map(|removal| std::iter::once(&removal.image).chain(&removal.layers))
        .cloned()
        .collect()
}

/// What is left when the engine has carried out a plan; it refuses to remove what something is built on.
fn after(stock: &Stock, plan: &Plan) -> (Stock, u64) {
    let bytes = |stock: &Stock| -> u64 {
        let layers = stock.layers.values().flatten();
        let each: BTreeMap<&str, u64> = layers.map(|l| (l.id.as_str(), l.size_bytes)).collect();
        each.values().sum()
    };
    let mut left = stock.clone();
    for id in all_removed(plan) {
        let is_parent = left
            .images
            .values()
            .any(|image| image.parent.as_ref() == Some(&id));
        assert!(!is_parent, "{id} is removed before what was built on it");
        assert!(left.images.remove(&id).is_some(), "{id} is removed once");
        left.layers.remove(&id);
        left.made.remove(&id);
    }
    let freed = bytes(stock) - bytes(&left);
    (left, freed)
}

fn may_go(stock: &Stock, rules: &Rules, id: &str) -> Result<(), String> {
    let image = &stock.images[id];
    let Some(made) = stock.made.get(id) else {
        return Err("not made by the launcher".into());
    };
    if image.names.iter().any(|name| name.starts_with("somebody")) {
        return Err("named by somebody else".into());
    }
    if image.used_by_instances + image.used_by_others > 0 {
        return Err("in use".into());
    }
    if stock
        .wanted
        .iter()
        .any(|name| image.names.iter().any(|own| own == name.as_str()))
    {
        return Err("wanted".into());
    }
    if stock
        .under_way
        .iter()
        .any(|name| image.names.iter().any(|own| name.ends_with(own.as_str())))
    {
        return Err("under way".into());
    }
    if stock.ran[0]
        .images
        .iter()
        .take(rules.keep)
        .any(|ran| ran == id)
    {
        return Err("ran last".into());
    }
    let is_release = |made: &MadeImage| matches!(made.how, Made::Built | Made::Pulled);
    let repository = |made: &MadeImage| made.names[0].split(':').next().unwrap().to_owned();
    if is_release(made) {
        let same = stock
            .made
            .values()
            .filter(|m| is_release(m) && repository(m) == repository(made));
        let newer = same
            .filter(|m| (m.made_at, &m.id) > (made.made_at, &made.id))
            .count();
        if newer < rules.keep {
            return Err("one of the newest".into());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_goes_that_is_needed_or_foreign(stock in stock(), rules in rules()) {
        let plan = plan(&stock, &rules);
        for id in all_removed(&plan) {
            prop_assert_eq!(may_go(&stock, &rules, &id), Ok(()), "{}", id);
        }
    }

    #[test]
    fn every_image_goes_or_is_kept_for_a_reason(stock in stock(), rules in rules()) {
        let plan = plan(&stock, &rules);
        let gone: HashSet<String> = all_removed(&plan).into_iter().collect();
        let kept: HashSet<String> = plan.kept.keys().cloned().collect();
        let all: HashSet<String> = stock.images.keys().cloned().collect();
        prop_assert!(gone.is_disjoint(&kept));
        prop_assert_eq!(&gone | &kept, all);
    }

    #[test]
    fn it_frees_what_it_says_and_has_nothing_left_to_do(stock in stock(), rules in rules()) {
        let first = plan(&stock, &rules);
        let (left, freed) = after(&stock, &first);
        prop_assert_eq!(freed, first.freed_bytes());
        let pressure = rules.pressure.and_then(|pressure| match pressure {
            Pressure::Everything => Some(pressure),
            Pressure::Bytes(bytes) => Some(Pressure::Bytes(bytes.checked_sub(freed)?)),
        });
        let second = plan(&left, &Rules { pressure, ..rules });
        prop_assert_eq!(second.removals, Vec::new());
    }

    #[test]
    fn cache_stays_while_there_is_room(stock in stock(), keep in 1..4_usize) {
        let plan = plan(&stock, &Rules { keep, pressure: None });
        for removal in &plan.removals {
            prop_assert!(matches!(stock.made[&removal.image].how, Made::Built | Made::Pulled));
            let needed: HashMap<&String, &StockImage> = stock.images.iter().collect();
            prop_assert!(removal.layers.iter().all(|layer| needed[layer].names.is_empty()));
        }
    }
}
