use super::HostSettings;

#[test]
fn a_host_has_room_until_it_is_full() {
    let limited = |max| HostSettings {
        max,
        ..HostSettings::default()
    };
    assert!(limited(None).check_room(u64::MAX / 2, 100).is_ok());
    assert!(limited(Some(3)).check_room(1, 2).is_ok());
    let full = limited(Some(3)).check_room(2, 2).unwrap_err();
    assert!(full.is_callers());
    assert!(full.to_string().contains("at most 3 containers"), "{full}");
    assert!(limited(Some(0)).check_room(0, 1).is_err());
}

#[test]
fn one_that_is_not_active_takes_nothing_new() {
    let active = |active| HostSettings { max: None, active };
    assert!(active(true).check_active().is_ok());
    assert!(active(false).check_active().unwrap_err().is_callers());
}
