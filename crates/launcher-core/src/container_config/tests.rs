use serde_json::json;

use super::*;

fn read(body: Value, rights: Rights) -> Result<Value, String> {
    let given = ContainerConfig::parse(body, rights);
    given
        .map(|given| given.config.0.into())
        .map_err(|error| error.to_string())
}

fn host(body: &Value) -> Value {
    json!({ "HostConfig": body })
}

#[test]
fn what_everybody_may_set_is_read_as_it_is() {
    let body = json!({
        "Cmd": ["node", "main.js"], "WorkingDir": "/srv", "Labels": {"team": "a"},
        "ExposedPorts": {"9000/tcp": {}}, "Healthcheck": {"Test": ["NONE"], "Interval": 1_000_000},
        "HostConfig": {"ShmSize": 134_217_728, "Ulimits": [{"Name": "nofile", "Soft": 64, "Hard": 64}],
            "Tmpfs": {"/run": "size=1m"}, "ExtraHosts": ["db:10.0.0.1"], "NetworkMode": "bridge",
            "IpcMode": "private", "CapDrop": ["ALL"], "LogConfig": {"Type": "local"},
            "RestartPolicy": {"Name": "no"}},
    });
    assert_eq!(read(body.clone(), Rights::User), Ok(body));
}

#[test]
fn what_reaches_the_machine_is_for_administrators() {
    for (body, also) in [
        (json!({"Binds": ["/etc:/x"]}), "limits.volumes"),
        (
            json!({"Mounts": [{"Type": "bind", "Source": "/", "Target": "/x"}]}),
            "limits.volumes",
        ),
        (json!({"VolumesFrom": ["other"]}), "limits.volumes"),
        (json!({"Privileged": true}), ""),
        (json!({"CapAdd": ["SYS_ADMIN"]}), ""),
        (json!({"CapDrop": ["NET_RAW"]}), "[\"ALL\"]"),
        (json!({"CapDrop": ["none"]}), "[\"ALL\"]"),
        (json!({"Devices": [{"PathOnHost": "/dev/sda"}]}), ""),
        (json!({"DeviceRequests": [{"Driver": "nvidia"}]}), ""),
        (json!({"DeviceCgroupRules": ["a *:* rwm"]}), ""),
        (json!({"NetworkMode": "host"}), "\"bridge\""),
        (json!({"NetworkMode": "container:other"}), "\"bridge\""),
        (json!({"NetworkMode": "0123456789ab"}), "\"bridge\""),
        (json!({"PidMode": "host"}), ""),
        (json!({"PidMode": "container:other"}), ""),
        (json!({"IpcMode": "host"}), "\"shareable\""),
        (json!({"IpcMode": "container:other"}), "\"shareable\""),
        (json!({"UTSMode": "host"}), ""),
        (json!({"UsernsMode": "host"}), ""),
        (json!({"CgroupnsMode": "host"}), "\"private\""),
        (json!({"SecurityOpt": ["seccomp=unconfined"]}), ""),
        (json!({"MaskedPaths": ["/x"]}), ""),
        (json!({"ReadonlyPaths": ["/x"]}), ""),
        (json!({"CgroupParent": "/"}), ""),
        (json!({"Cgroup": "container:other"}), ""),
        (json!({"Runtime": "other"}), ""),
        (json!({"Sysctls": {"kernel.shmmax": "1"}}), ""),
        (json!({"OomScoreAdj": -1000}), ""),
        (json!({"OomKillDisable": true}), ""),
        (json!({"Links": ["other:alias"]}), ""),
        (json!({"Memory": -1}), "more than 0"),
        (json!({"MemorySwap": -1}), "more than 0"),
        (json!({"PidsLimit": -1}), "more than 0"),
        (
            json!({"Ulimits": [{"Name": "rtprio", "Soft": 99, "Hard": 99}]}),
            "nofile",
        ),
        (
            json!({"LogConfig": {"Config": {"max-size": "-1"}}}),
            "logFileBytes",
        ),
    ] {
        let field = body.as_object().unwrap().keys().next().unwrap().clone();
        let refused = read(host(&body), Rights::User).unwrap_err();
        let expected = format!("only administrators may set HostConfig.{field} so");
        assert!(refused.starts_with(&expected), "{body}: {refused}");
        assert!(refused.contains(also), "{body}: {refused}");
        let allowed = read(host(&body), Rights::Administrator);
        assert_eq!(allowed, Ok(host(&body)));
    }
    let networks = json!({"NetworkingConfig": {"EndpointsConfig": {"other": {}}}});
    assert!(
        read(networks, Rights::User)
            .unwrap_err()
            .contains("administrators")
    );
}

#[test]
fn what_the_launcher_needs_nobody_sets() {
    for (body, why) in [
        (json!({"Image": "other"}), "appImage"),
        (json!({"NetworkDisabled": true}), "reach the app"),
        (host(&json!({"NetworkMode": "none"})), "reach the app"),
        (
            host(&json!({"PortBindings": {"80/tcp": [{"HostPort": "80"}]}})),
            "no other",
        ),
        (host(&json!({"PublishAllPorts": true})), "no other"),
        (
            host(&json!({"RestartPolicy": {"Name": "always"}})),
            "started again",
        ),
        (host(&json!({"AutoRemove": true})), "removes containers"),
        (
            host(&json!({"LogConfig": {"Type": "none"}})),
            "json-file and local",
        ),
        (
            host(&json!({"LogConfig": {"Type": "syslog"}})),
            "json-file and local",
        ),
    ] {
        for rights in [Rights::User, Rights::Administrator] {
            let refused = read(body.clone(), rights).unwrap_err();
            assert!(
                refused.contains("cannot be set: ") && refused.contains(why),
                "{refused}"
            );
        }
    }
}

#[test]
fn what_says_nothing_is_left_out() {
    let body = json!({
        "Image": "", "Cmd": null, "User": "1000", "NetworkDisabled": false, "OnBuild": [],
        "HostConfig": {"Privileged": false, "Binds": [], "CapAdd": null, "SecurityOpt": [], "Memory": 0,
            "PortBindings": {}, "NetworkMode": "", "CapDrop": [], "AutoRemove": false},
    });
    let left = json!({"User": "1000", "HostConfig": {}});
    assert_eq!(read(body, Rights::User), Ok(left));
}

#[test]
fn labels_of_the_launcher_are_left_out() {
    let labels = json!({"Labels": {"launcher.instance": "x", "launcher.other": "x", "mine": "y"}});
    let left = json!({"Labels": {"mine": "y"}});
    assert_eq!(read(labels, Rights::Administrator), Ok(left));
}

/// Docker itself takes field names in any case, and ignores what it does not know.
#[test]
fn what_docker_does_not_know_is_refused_without_telling_values() {
    for (body, said) in [
        (json!({"privileged": "s3cret"}), "no field privileged"),
        (
            json!({"hostconfig": {"Privileged": true}}),
            "no field hostconfig",
        ),
        (
            host(&json!({"privileged": true})),
            "no field HostConfig.privileged",
        ),
        (host(&json!([134_217_728])), "HostConfig "),
        (host(&json!("s3cret")), "HostConfig is not of the kind"),
        (
            json!({"Cmd": "s3cret"}),
            "Cmd is not of the kind that Docker takes: a sequence",
        ),
        (json!({"Cmd": [1]}), "Cmd is not of the kind"),
        (json!({"Labels": {"a": 1}}), "Labels is not of the kind"),
        (
            host(&json!({"ShmSize": 1.5})),
            "HostConfig.ShmSize is not of the kind",
        ),
        (
            host(&json!({"ShmSize": "s3cret"})),
            "HostConfig.ShmSize is not of the kind",
        ),
        (
            host(&json!({"Ulimits": [["nofile", 1, 1]]})),
            "HostConfig.Ulimits has something",
        ),
        (
            host(&json!({"Ulimits": [{"name": "nofile"}]})),
            "HostConfig.Ulimits has something",
        ),
        (json!({"Env": "A=1"}), "Env must be an array"),
        (json!({"Env": ["s3cret"]}), "Env must be an array"),
        (json!("s3cret"), "it must be an object"),
        (json!(["s3cret"]), "it must be an object"),
    ] {
        let refused = read(body.clone(), Rights::Administrator).unwrap_err();
        assert!(refused.contains(said), "{body}: {refused}");
        assert!(!refused.contains("s3cret"), "{refused}");
    }
}

#[test]
fn size_and_depth_are_limited() {
    let long = json!({"Domainname": "x".repeat(MAX_CONFIG)});
    assert_eq!(
        read(long, Rights::User),
        Err(ConfigError::TooLong.to_string())
    );
    let mut deep = json!("x");
    for _ in 0..=MAX_DEPTH {
        deep = json!([deep]);
    }
    let deep = json!({"Cmd": deep});
    assert_eq!(
        read(deep, Rights::User),
        Err(ConfigError::TooDeep.to_string())
    );
}

#[test]
fn variables_are_handed_out_apart() {
    let body = json!({"Env": ["A=1", "B=x=y"], "User": "node"});
    let given = ContainerConfig::parse(body, Rights::User).unwrap();
    assert_eq!(given.env, ["A=1", "B=x=y"]);
    assert_eq!(Value::from(given.config.0), json!({"User": "node"}));
}

#[test]
fn passwords_are_masked() {
    let body = json!({
        "Cmd": ["app", "--password", "s3cret", "mongodb://u:s3cret@db/a"],
        "Labels": {"team": "a", "api-token": "s3cret"},
        "Healthcheck": {"Test": ["CMD", "curl", "--token", "s3cret"]},
        "HostConfig": {"ShmSize": 1, "Ulimits": [{"Name": "core", "Soft": 1, "Hard": 1}]},
    });
    let config = ContainerConfig::parse(body.clone(), Rights::User)
        .unwrap()
        .config;
    let shown = Value::from(config.masked());
    assert!(!shown.to_string().contains("s3cret"), "{shown}");
    assert_eq!(shown["HostConfig"], body["HostConfig"]);
    assert_eq!(shown["Labels"]["team"], "a");
}
